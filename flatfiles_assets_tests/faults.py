"""The faults that `FaultProxy` can make, as values, and which requests one is meant for."""

from __future__ import annotations

import dataclasses

_ERROR_XML = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    "<Error><Code>{code}</Code><Message>made by the fault proxy</Message><RequestId>1</RequestId></Error>"
)


@dataclasses.dataclass(frozen=True)
class Respond:
    """Answer with an error of S3's shape instead of asking the server."""

    status: int
    code: str

    @property
    def body(self) -> bytes:
        """The error's XML."""
        return _ERROR_XML.format(code=self.code).encode()


SLOW_DOWN = Respond(503, "SlowDown")
INTERNAL_ERROR = Respond(500, "InternalError")
TOO_MANY_REQUESTS = Respond(429, "TooManyRequests")
ACCESS_DENIED = Respond(403, "AccessDenied")
THROTTLING_403 = Respond(403, "SlowDown")


@dataclasses.dataclass(frozen=True)
class Reset:
    """Reset the connection: before anything is sent (None), or inside the body."""

    after_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Stall:
    """Send that much of the body, then nothing more until the client gives up."""

    after_bytes: int = 0


@dataclasses.dataclass(frozen=True)
class Truncate:
    """Close the connection properly after that much of the body; the length in the head is whole."""

    after_bytes: int


@dataclasses.dataclass(frozen=True)
class TruncateSilently:
    """Send only that much of the body and say in the head that this is all."""

    after_bytes: int


@dataclasses.dataclass(frozen=True)
class FlipByte:
    """Invert one byte of the body."""

    position: int


@dataclasses.dataclass(frozen=True)
class Rewrite:
    """Give a header of the answer another value, or leave it out (None)."""

    header: str
    value: str | None


@dataclasses.dataclass(frozen=True)
class Throttle:
    """Send the body no faster than this."""

    bytes_per_second: int


Fault = Respond | Reset | Stall | Truncate | TruncateSilently | FlipByte | Rewrite | Throttle


@dataclasses.dataclass
class Rule:
    """A fault and the requests that it is meant for."""

    fault: Fault
    method: str
    path: str
    skip: int
    times: int | None

    def take(self, method: str, path: str) -> bool:
        """Whether this request is one of those the fault is meant for; counts it."""
        if (self.method and method != self.method) or self.path not in path:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0
