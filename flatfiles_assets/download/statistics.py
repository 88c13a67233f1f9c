"""The counters that both downloaders keep."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TypedDict

from flatfiles_assets.download.retries import Attempts


class DownloadStatistics(TypedDict):
    """What a downloader did since its creation or the last reset.

    `success_rate` is a fraction between 0.0 and 1.0; 0.0 where nothing was done.
    """

    total_downloads: int
    successful_downloads: int
    failed_downloads: int
    total_retries: int
    success_rate: float


class DownloadCounter:
    """Counts downloads, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._successful = self._failed = self._retries = 0

    @contextlib.contextmanager
    def download(self) -> Iterator[Attempts]:
        """Count what happens inside as one download, failed if it raises, and the retries it took."""
        attempts, succeeded = Attempts(), False
        try:
            yield attempts
            succeeded = True
        finally:
            with self._lock:
                self._successful += succeeded
                self._failed += not succeeded
                self._retries += attempts.retries

    def add_retries(self, retries: int) -> None:
        """Count retries of something that is no download."""
        with self._lock:
            self._retries += retries

    def reset(self) -> None:
        """Start again from zero."""
        with self._lock:
            self._successful = self._failed = self._retries = 0

    def snapshot(self) -> DownloadStatistics:
        """The figures as they stand."""
        with self._lock:
            total = self._successful + self._failed
            return {
                "total_downloads": total,
                "successful_downloads": self._successful,
                "failed_downloads": self._failed,
                "total_retries": self._retries,
                "success_rate": self._successful / total if total else 0.0,
            }
