"""The typed errors: what a status means, and that they survive a process boundary."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

from flatfiles_assets.download import errors
from flatfiles_assets.download.errors import CorruptFile, DownloadError, StorageFailed, state_of
from flatfiles_assets.download.faults import from_status
from flatfiles_assets.download.verified_files import storage, storage_failed
from flatfiles_assets.errors import FlatFilesError


@pytest.mark.parametrize(
    ("status", "code", "expected", "state"),
    [
        (404, "NoSuchKey", errors.NotPublished, "not_published"),
        (404, None, errors.NotPublished, "not_published"),
        (404, "NoSuchBucket", errors.BucketNotFound, "failed"),
        (403, "AccessDenied", errors.NotEntitled, "not_entitled"),
        (403, None, errors.NotEntitled, "not_entitled"),
        (403, "SlowDown", errors.Throttled, "failed"),
        (403, "RequestLimitExceeded", errors.Throttled, "failed"),
        (429, None, errors.Throttled, "failed"),
        (503, "SlowDown", errors.Throttled, "failed"),
        (403, "SignatureDoesNotMatch", errors.AuthenticationFailed, "failed"),
        (403, "InvalidAccessKeyId", errors.AuthenticationFailed, "failed"),
        (401, None, errors.AuthenticationFailed, "failed"),
        (412, "PreconditionFailed", errors.ObjectChanged, "failed"),
        (500, "InternalError", errors.TransferFailed, "failed"),
        (504, None, errors.TransferFailed, "failed"),
        (400, "InvalidRequest", errors.RequestRejected, "failed"),
    ],
)
def test_a_status_and_a_code_have_one_meaning(status, code, expected, state):
    error = from_status(status, code, "s3://b/k")
    assert type(error) is expected
    assert state_of(error) == state
    assert "s3://b/k" in str(error)
    assert str(status) in str(error)


def test_not_entitled_explains_that_listed_is_not_readable():
    assert "LIST" in str(from_status(403, None, "s3://b/k"))
    assert "subscription" in str(from_status(403, None, "s3://b/k"))


def test_errors_survive_pickling_with_their_attempts():
    error = from_status(503, "SlowDown", "s3://b/k").after(6)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.attempts) == (type(error), str(error), 6)
    assert "tried 6 times" in str(copy)


def test_every_error_is_a_flat_files_error_with_a_state_of_the_ledger():
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, Exception):
            assert issubclass(kind, FlatFilesError)
    assert state_of(CorruptFile("broken")) == "corrupt"
    assert state_of(DownloadError("x")) == state_of(FlatFilesError("x")) == "failed"


def test_too_few_open_files_are_told_from_too_little_space():
    assert "ulimit -n" in str(storage_failed(OSError(errno.EMFILE, "Too many open files")))
    assert "free space" in str(storage_failed(OSError(errno.ENOSPC, "No space left on device")))


@pytest.mark.parametrize("taken", ["a.csv/c.csv", "folder/b.csv"])
def test_a_name_that_is_both_a_file_and_a_folder_is_no_lack_of_space(tmp_path: Path, taken: str):
    (tmp_path / "a.csv").touch()
    (tmp_path / "c.csv").touch()
    (tmp_path / "folder" / "b.csv").mkdir(parents=True)
    said = "an object and a folder of one name"
    with pytest.raises(StorageFailed, match=said) as raised, storage(tmp_path):
        (tmp_path / "c.csv").replace(tmp_path / taken)
    assert "free space" not in str(raised.value)
