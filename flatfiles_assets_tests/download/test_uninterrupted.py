"""Work that must not be left alone is waited for, however often the waiting is cancelled."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from flatfiles_assets.download.uninterrupted import ended


def test_a_cancellation_takes_effect_when_the_work_has_ended():
    async def main():
        done = []

        async def work():
            await asyncio.sleep(0.05)
            done.append(True)

        waiting = asyncio.create_task(ended(asyncio.create_task(work())))
        for _ in range(3):
            await asyncio.sleep(0)
            waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return done

    assert asyncio.run(main()) == [True]


def test_the_outcome_is_passed_on():
    async def main():
        async def fail():
            raise KeyError("a")

        assert await ended(asyncio.create_task(asyncio.sleep(0, "value"))) == "value"
        with contextlib.suppress(KeyError):
            await ended(asyncio.create_task(fail()))
            pytest.fail("it raises")

    asyncio.run(main())
