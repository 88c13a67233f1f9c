"""The command line with flags: ``python -m flatfiles_assets.minio_data_downloader --sync-all``.

Here: argparse, because a flag that takes any number of years is nothing that click can say. The
same as verbs is in `commands`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from flatfiles_assets.minio_data_downloader.actions import Done, MirrorRequest, perform
from flatfiles_assets.minio_data_downloader.bucket_contents import DIRECTORIES
from flatfiles_assets.minio_data_downloader.downloader import MinIODataDownloader
from flatfiles_assets.minio_data_downloader.terminal import ProgressBars, show
from flatfiles_assets.unexpected import explained


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Arguments without the program's name; None for the process's own.

    Returns:
        The exit code: 0 only when everything asked for is true, 2 for a wrong call.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    request = MirrorRequest(
        download_years=None if options.download_historical is None else tuple(options.download_historical),
        extract_years=tuple(options.extract_historical),
        cleanup=options.cleanup,
        directories=tuple(options.download_directory),
        sync_all=options.sync_all,
        verify=options.verify,
        integration_config=options.integration_config,
    )
    if request.is_empty:
        parser.print_help(sys.stderr)
        return 2
    return run(request, options.cache_dir, as_json=options.json)


def run(request: MirrorRequest, cache_dir: str | None, *, as_json: bool) -> int:
    """Do what is asked on a cache folder and show it; returns the exit code."""
    try:
        downloader = MinIODataDownloader(cache_dir, work=ProgressBars())
        done = perform(downloader, request)
    except Exception as error:
        done = [Done("start", ok=False, result="failed", problems=(str(explained(error)),))]
    return show(done, as_json=as_json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flatfiles_assets.minio_data_downloader",
        description="Mirror the MinIO bucket of historical data: yearly ZIPs and directories.",
        epilog="The store is read from MINIO_ENDPOINT_URL, MINIO_BUCKET, MINIO_ACCESS_KEY and"
        " MINIO_SECRET_KEY, in the environment or in .env. Exit code 0 only when everything asked for"
        " is true.",
    )
    parser.add_argument(
        "--download-historical", nargs="*", type=_year, metavar="YEAR",
        help="download the ZIPs of these years, or of every year the bucket has",
    )  # fmt: skip
    parser.add_argument(
        "--extract-historical", nargs="+", type=_year, metavar="YEAR", default=[],
        help="extract the downloaded ZIPs of these years",
    )  # fmt: skip
    parser.add_argument(
        "--cleanup", action="store_true", help="remove each ZIP after its extraction is verified"
    )
    parser.add_argument(
        "--download-directory", nargs="+", metavar="PREFIX", default=[],
        help=f"download directories of the bucket, e.g. {', '.join(DIRECTORIES)}",
    )  # fmt: skip
    parser.add_argument("--sync-all", action="store_true", help="bring every year and directory up to date")
    parser.add_argument("--verify", action="store_true", help="recompute the checksum of every file")
    parser.add_argument(
        "--integration-config", action="store_true",
        help="say what data there is, where, with which columns and dates",
    )  # fmt: skip
    parser.add_argument("--cache-dir", metavar="PATH", help="folder of the mirror")
    parser.add_argument("--json", action="store_true", help="print the account as JSON")
    return parser


def _year(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) == 4):
        raise argparse.ArgumentTypeError(f"{text!r} is not a year, such as 2008")
    return int(text)
