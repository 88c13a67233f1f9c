"""Many keys into the cache: the one door for assets, sensors and the command line.

Here: a background event loop that works ahead, and results in the order of the keys. Not here: what
happens to one key (`fetcher.py`).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

from flatfiles_assets.download.cache import FetchedFile, FileCache
from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.fetcher import Fetcher, FetchResult, Place
from flatfiles_assets.download.listing import RemoteObject, list_remote
from flatfiles_assets.download.retries import RetryPolicy
from flatfiles_assets.download.transfer import ObjectTransfer, TransferLimits
from flatfiles_assets.errors import InvalidArgument

__all__ = ["FetchResult", "FetchedFile", "RemoteObject", "fetch_files", "list_remote"]


def fetch_files(
    connection: S3Connection,
    bucket: str,
    cache: FileCache,
    keys: Sequence[str],
    *,
    max_concurrent: int = 8,
    max_retries: int = 5,
    timeout: float = 60,
    recheck: bool = True,
    local_key: Callable[[str], str] | None = None,
    listed: Mapping[str, RemoteObject] | None = None,
    retry_policy: RetryPolicy | None = None,
    limits: TransferLimits | None = None,
    on_bytes: Callable[[int], None] | None = None,
    on_file: Callable[[FetchResult], None] | None = None,
) -> Iterator[FetchResult]:
    """Bring files into the cache, and yield one result for each key, in the order of the keys.

    Files are fetched concurrently, ahead of the consumer; a consumer that stops early cancels the
    rest. A failure is yielded, not raised, and leaves an earlier good file where it is.

    Args:
        connection: The store.
        bucket: Bucket's name.
        cache: Where files and ledger are.
        keys: Keys in the bucket; repeated ones are fetched once.
        max_concurrent: Requests in flight.
        max_retries: Further attempts for each object after its first.
        timeout: Longest silence within a transfer, seconds.
        recheck: Whether files that are in the cache are compared with the bucket (one LIST for each
            folder) and fetched again where the object was replaced. Without it the ledger is
            trusted. Either way a file that is gone or damaged on disk is fetched again.
        local_key: Key in cache and ledger for a key in the bucket; the same by default.
        listed: Objects by key, as a listing just described them; an answer of another length is refused.
        retry_policy: Number and spacing of the retries; overrides `max_retries`.
        limits: Sizes above which objects are streamed, or fetched in parallel ranges.
        on_bytes: Called with the number of bytes as they arrive, from another thread.
        on_file: Called with each result as it is ready, from another thread, in any order.
    """
    if max_concurrent < 1:
        raise InvalidArgument(f"max_concurrent is {max_concurrent}", next_step="use at least 1")

    def run(ready: _Ready) -> Coroutine[None, None, None]:
        return _fetch_all(
            cache,
            list(dict.fromkeys(keys)),
            lambda executor: ObjectTransfer(
                connection,
                bucket,
                executor=executor,
                max_concurrent=max_concurrent,
                policy=retry_policy or RetryPolicy(max_retries),
                timeout=timeout,
                limits=limits or TransferLimits(),
                on_bytes=on_bytes,
                notes=cache.ledger,
            ),
            local_key=local_key or (lambda key: key),
            listed=listed or {},
            recheck=recheck,
            max_concurrent=max_concurrent,
            ready=ready,
            on_file=on_file or (lambda _: None),
        )

    return _in_order(keys, run)


_Ready = queue.SimpleQueue[list[tuple[str, FetchResult]] | BaseException]


def _in_order(
    keys: Sequence[str], run: Callable[[_Ready], Coroutine[None, None, None]]
) -> Iterator[FetchResult]:
    """Run in a thread with its own event loop; yield what gets ready in the order of the keys."""
    if not keys:
        return
    ready: _Ready = queue.SimpleQueue()
    loop = _new_event_loop()
    task = loop.create_task(run(ready))

    def serve() -> None:
        try:
            loop.run_until_complete(task)
        except BaseException as error:
            ready.put(error)
        else:
            ready.put(RuntimeError("the fetch ended without a result for every key"))
        finally:
            loop.close()

    thread = threading.Thread(target=serve, name="fetch", daemon=True)
    thread.start()
    results: dict[str, FetchResult] = {}
    try:
        for key in keys:
            while key not in results:
                message = ready.get()
                if isinstance(message, BaseException):
                    raise message
                results.update(message)
            yield results[key]
    finally:
        # The loop may close between a look at it and the call.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)
        thread.join()


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, with a quarter more small objects a second; asyncio's own on Windows, which has none."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _fetch_all(
    cache: FileCache,
    keys: Sequence[str],
    connect: Callable[[concurrent.futures.Executor], ObjectTransfer],
    *,
    local_key: Callable[[str], str],
    listed: Mapping[str, RemoteObject],
    recheck: bool,
    max_concurrent: int,
    ready: _Ready,
    on_file: Callable[[FetchResult], None],
) -> None:
    threads = min(max_concurrent, (os.cpu_count() or 1) + 2)
    with concurrent.futures.ThreadPoolExecutor(threads, "fetch") as executor:
        fetcher = Fetcher(
            cache, connect(executor), listed=listed, recheck=recheck, deliver=ready.put, on_file=on_file
        )
        places = [Place.of(key, local_key(key), cache) for key in keys]
        # A worker whose file is being hashed and written has no request in flight: others take its turn.
        await fetcher.run(places, workers=max_concurrent + threads)
