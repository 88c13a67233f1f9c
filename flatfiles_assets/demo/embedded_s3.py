"""An S3 store on loopback in a process of its own, for the demo and the fast tests.

Here: starting, stopping and reaching it. Not here: what is put into it (`demo/market.py`).

The store is moto. It speaks S3 over real HTTP but keeps everything in memory, forgets it when
stopped, and does not check signatures: any key and secret are accepted.
"""

from __future__ import annotations

import atexit
import importlib.util
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from flatfiles_assets.download.boto3_client import deaf_session
from flatfiles_assets.errors import FlatFilesError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_START_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 5.0


class DemoUnavailable(FlatFilesError):
    """The embedded store cannot be started."""


def s3_client(endpoint_url: str, access_key_id: str, secret_access_key: str, **options: Any) -> S3Client:
    """A boto3 client for an S3-compatible server: path style, checksums only where required.

    Args:
        endpoint_url: Of the server, with the scheme.
        access_key_id: Key id.
        secret_access_key: Secret of that key.
        **options: Further fields of `botocore.config.Config`.
    """
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        proxies={},
        **options,
    )
    # No profile of the user's has a say, nor one that is gone.
    return boto3.Session(botocore_session=deaf_session()).client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        region_name="us-east-1",
        config=config,
    )


class EmbeddedS3:
    """A moto server in a child process that does not outlive this one.

    Use it as a context manager, or call `start` and `stop`. Starting takes about a second.

    Example:
        >>> with EmbeddedS3() as s3:
        ...     s3.create_bucket("flatfiles")
        ...     s3.client().put_object(Bucket="flatfiles", Key="a", Body=b"1")

    Args:
        log_path: File for the server's own messages; a temporary one, removed at the end, if None.
    """

    access_key_id = "embedded"
    secret_access_key = "embedded-secret"  # noqa: S105 - moto does not check it

    def __init__(self, log_path: Path | None = None) -> None:
        self._log_path = log_path
        self._process: subprocess.Popen[str] | None = None
        self._port: int | None = None

    @property
    def endpoint_url(self) -> str:
        """``http://127.0.0.1:<port>`` of the running server.

        Raises:
            DemoUnavailable: It is not running.
        """
        if self._port is None:
            raise DemoUnavailable("the embedded store is not running", next_step="call start() first")
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> EmbeddedS3:
        """Start the server and wait until it has stored something. Does nothing if it runs.

        Raises:
            DemoUnavailable: moto is not installed, or the server did not start.
        """
        if self._process is not None:
            return self
        missing = [name for name in ("moto", "flask", "flask_cors") if not importlib.util.find_spec(name)]
        if missing:
            raise DemoUnavailable(
                "the embedded store is not installed",
                why=f"missing: {', '.join(missing)}",
                next_step="pip install 'flatfiles-assets[demo]'",
            )
        with tempfile.TemporaryFile("w+") if self._log_path is None else self._log_path.open("w+") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flatfiles_assets.demo.moto_process"],
                # The child watches for the end of this pipe, so it dies with us, kill -9 included.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C in the terminal is for us; we stop the store when done with it.
                start_new_session=True,
            )
            atexit.register(self.stop)
            try:
                self._port = self._read_port(self._process)
                # An open port is not yet a store that works.
                self.create_bucket("ready")
                self.client().delete_bucket(Bucket="ready")
            except BaseException as error:
                self.stop()
                if not isinstance(error, Exception):
                    raise
                log.seek(0)
                raise DemoUnavailable(
                    "the embedded store did not start",
                    where=sys.executable,
                    why=log.read()[-500:].strip() or str(error),
                    next_step="try `python -m flatfiles_assets.demo.moto_process` to see its messages",
                ) from error
        return self

    @staticmethod
    def _read_port(process: subprocess.Popen[str]) -> int:
        # A reader cannot be given a deadline on every platform, but a child can.
        deadline = threading.Timer(_START_TIMEOUT_SECONDS, process.kill)
        deadline.start()
        try:
            line = process.stdout.readline() if process.stdout else ""
        finally:
            deadline.cancel()
        if not line.strip():
            raise ChildProcessError("it ended before it announced its port")
        return int(line)

    def stop(self) -> None:
        """End the server and with it everything stored. Does nothing if it does not run."""
        atexit.unregister(self.stop)
        process, self._process, self._port = self._process, None, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def client(self) -> S3Client:
        """A new boto3 client for it."""
        return s3_client(self.endpoint_url, self.access_key_id, self.secret_access_key)

    def create_bucket(self, name: str) -> None:
        """Create a bucket; one that exists is kept as it is."""
        self.client().create_bucket(Bucket=name)

    def __enter__(self) -> EmbeddedS3:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
