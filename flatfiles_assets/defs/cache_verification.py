"""The job `verify_cache`: every file of both mirrors against its recorded SHA-256.

Here: the job. Not here: how a file is verified (`download/cache.py`) and when the job runs
(`schedules.py`). A damaged file is marked in the ledger, and the sync sensors fetch it again.
"""

import collections

import dagster as dg

from flatfiles_assets.defs.resources import FlatFilesS3Resource, MinIOS3Resource
from flatfiles_assets.defs.step_errors import door
from flatfiles_assets.download.cache import FileCache, VerifiedFile
from flatfiles_assets.escaping import printable

_MOST_NAMED = 50


@dg.op(description="Recompute every checksum; fail with the list of the files that are not as recorded.")
@door
def verify_mirrors(
    context: dg.OpExecutionContext, flatfiles_s3: FlatFilesS3Resource, minio_s3: MinIOS3Resource
) -> None:
    """Verify both mirrors.

    Raises:
        dagster.Failure: Files are damaged or gone; each is named with what was found.
    """
    damaged: list[VerifiedFile] = []
    counts: collections.Counter[str] = collections.Counter()
    for resource in (flatfiles_s3, minio_s3):
        with resource.cache() as cache:
            damaged += _verify(cache, counts)
    context.log.info("%d files: %s", counts.total(), dict(counts))
    if damaged:
        raise _failure(damaged, counts)


@dg.job(description="Verify the checksum of every file in the mirrors of both buckets.")
def verify_cache() -> None:
    """One step over both mirrors."""
    verify_mirrors()


def _verify(cache: FileCache, counts: collections.Counter[str]) -> list[VerifiedFile]:
    damaged = []
    for file in cache.verify():
        counts[file.status] += 1
        if file.status != "ok":
            damaged.append(file)
    return damaged


def _failure(damaged: list[VerifiedFile], counts: collections.Counter[str]) -> dg.Failure:
    lines = [printable(f"{file.status}: {file.key}: {file.detail}") for file in damaged[:_MOST_NAMED]]
    if len(damaged) > _MOST_NAMED:
        lines.append(f"and {len(damaged) - _MOST_NAMED} more")
    records = [
        dg.TableRecord({"status": file.status, "key": file.key, "detail": file.detail}) for file in damaged
    ]
    return dg.Failure(
        description="\n".join(
            [f"{len(damaged)} of {counts.total()} files are damaged; they will be fetched again:", *lines]
        ),
        metadata={"damaged": dg.MetadataValue.table(records)},
        allow_retries=False,
    )
