"""A year of the user's bucket, from the archive to two algorithms, and a check of every file.

    python examples/historical_research.py --year 2008 --symbols KO PEP XOM CVX

The bucket and the credentials are the settings' (``MINIO_*`` in the environment or `.env`).
"""

from __future__ import annotations

import argparse
import sys

from flatfiles_assets import DataIntegration
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.minio_data_downloader import MinIODataDownloader


def main(arguments: list[str] | None = None) -> int:
    """Run the example; 0 when every file is as it was downloaded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--year", type=int, default=2008)
    parser.add_argument("--directory", default="financials")
    parser.add_argument("--symbols", nargs="+", default=["KO", "PEP", "XOM", "CVX"])
    options = parser.parse_args(arguments)
    try:
        return _research(options.year, options.directory, options.symbols)
    except FlatFilesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _research(year: int, directory: str, symbols: list[str]) -> int:
    downloader = MinIODataDownloader(cache_dir=None)

    # 1. Download and extract a year. The ZIP may be gone since an extraction with cleanup=True.
    downloader.download_historical_zips([year])
    folder = downloader.extract_historical_data(year)
    print(f"{year}.zip: extracted to {folder}")

    # 2. Synchronise a directory.
    files = downloader.download_directory(directory)
    print(f"{directory}: {len(files)} files")

    # 3. Pairs trading: prices come from the year just extracted.
    integration = DataIntegration()
    pairs = integration.get_data_for_algorithm(
        "pairs_trading", symbols, f"{year}-01-02", f"{year}-12-31", adjust="none"
    )
    columns = ["symbol_y", "symbol_x", "hedge_ratio", "p_value", "half_life_sessions"]
    best = pairs["cointegration_data"].sort_values("p_value")[columns].head(4)
    print(f"\nPairs by p-value:\n{best.to_string(index=False)}")

    # 4. Momentum.
    momentum = integration.get_data_for_algorithm(
        "momentum", symbols, f"{year}-01-02", f"{year}-12-31", adjust="none"
    )
    print(f"\nDaily returns:\n{momentum['returns_data'].tail(3)}")
    print(f"\nVolume:\n{momentum['volume_data'].tail(3)}")

    # 5. Verify every file on disk against its checksum.
    integrity = downloader.verify_data_integrity()
    print(f"\nIntegrity: {integrity['summary']}")
    return 0 if integrity["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
