"""Which failures are tried again, how often, and after how long.

Here: the policy and the two loops (sync and async, on stamina). Not here: what a failure is
(`faults.py`).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import stamina

from flatfiles_assets.download.errors import (
    DownloadError,
    NotEntitled,
    ObjectChanged,
    Throttled,
    TransferFailed,
)
from flatfiles_assets.errors import InvalidArgument

# By default stamina prints every retry where structlog is installed, as it is beside Dagster; here
# retries are logged by `_Judge`. The setting is the process's: an application may set its own after.
stamina.instrumentation.set_on_retry_hooks([])

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How a failed request is repeated: exponential backoff with jitter.

    Attributes:
        max_retries: Further attempts after the first, for each object.
        first_delay_seconds: Wait before the first retry; doubled for each further one.
        max_delay_seconds: Longest wait.
        jitter_seconds: Upper bound of the random part of each wait.
        denied_retries: Further attempts after a 403 that names no reason, before it is believed.

    Raises:
        InvalidArgument: The number of retries is negative.
    """

    max_retries: int = 5
    first_delay_seconds: float = 0.25
    max_delay_seconds: float = 15.0
    jitter_seconds: float = 0.5
    denied_retries: int = 2

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise InvalidArgument(f"max_retries is {self.max_retries}", next_step="use 0 or more")


class Attempts:
    """Counts the requests made for one object."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def retries(self) -> int:
        """Requests after the first."""
        return max(0, self.count - 1)


class _Judge:
    """Decides about one object's failures, remembering how often it was denied."""

    def __init__(self, policy: RetryPolicy, attempts: Attempts, *, restart_changed: bool) -> None:
        self._policy = policy
        self._attempts = attempts
        self._restart_changed = restart_changed
        self._denials = 0

    def __call__(self, error: Exception) -> bool:
        if isinstance(error, DownloadError) and error.settled:
            again = False
        elif isinstance(error, NotEntitled):
            self._denials += 1
            again = self._denials <= self._policy.denied_retries
        elif isinstance(error, ObjectChanged):
            again = self._restart_changed
        else:
            again = isinstance(error, (Throttled, TransferFailed))
        if again:
            _log.info("attempt %d: %s", self._attempts.count, error)
        return again


def _schedule(policy: RetryPolicy) -> dict[str, Any]:
    return {
        "attempts": policy.max_retries + 1,
        "timeout": None,
        "wait_initial": policy.first_delay_seconds,
        "wait_max": policy.max_delay_seconds,
        "wait_jitter": policy.jitter_seconds,
    }


async def retry_async(
    operation: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    attempts: Attempts,
    *,
    restart_changed: bool = True,
) -> T:
    """Await an operation until it succeeds or its failure is settled.

    Args:
        operation: Raises typed errors only; every call of it is one attempt.
        policy: Number and spacing of the attempts.
        attempts: Counts them.
        restart_changed: Whether `ObjectChanged` is tried again.

    Raises:
        DownloadError: The last failure, saying how many attempts were made.
    """
    attempts.count += 1
    try:
        return await operation()
    except DownloadError as error:
        first: DownloadError | None = error
    judge = _Judge(policy, attempts, restart_changed=restart_changed)
    try:
        async for attempt in stamina.retry_context(on=judge, **_schedule(policy)):
            with attempt:
                # The machinery of retries costs more than most operations that need none: it begins
                # with the failure that is known already.
                if first is not None:
                    known, first = first, None
                    raise known
                attempts.count += 1
                return await operation()
    except DownloadError as error:
        raise error.after(attempts.count) from None
    raise AssertionError("unreachable")  # pragma: no cover


def retry_sync(operation: Callable[[], T], policy: RetryPolicy, attempts: Attempts) -> T:
    """The blocking twin of `retry_async`."""
    judge = _Judge(policy, attempts, restart_changed=True)
    try:
        for attempt in stamina.retry_context(on=judge, **_schedule(policy)):
            with attempt:
                attempts.count += 1
                return operation()
    except DownloadError as error:
        raise error.after(attempts.count) from None
    raise AssertionError("unreachable")  # pragma: no cover
