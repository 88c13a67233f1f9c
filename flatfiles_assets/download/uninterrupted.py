"""Waiting for what must not be left alone: a thread that writes, a record that is being made."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def ended(work: asyncio.Future[T]) -> T:
    """The outcome of a future or task; a cancellation, however often, takes effect when it has ended.

    Args:
        work: What runs on when the waiting is cancelled; nobody else cancels it.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError:
                continue
        if not work.cancelled():
            work.exception()  # seen, though it gives way to the cancellation
        raise
