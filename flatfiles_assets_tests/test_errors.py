"""Errors are part of the interface: what, where, why and what next, also across processes."""

from __future__ import annotations

import importlib
import pickle
import pkgutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flatfiles_assets
from flatfiles_assets import errors
from flatfiles_assets.errors import FlatFilesError, InvalidArgument

WORDS = st.text(min_size=1, max_size=20)


def _subclasses(root: type) -> list[type]:
    return [found for child in root.__subclasses__() for found in (child, *_subclasses(child))]


def test_a_message_says_where_what_why_and_what_next():
    error = FlatFilesError("it is broken", where="a/b.gz", why="12 of 40 bytes.", next_step="fetch it again")
    assert str(error) == "a/b.gz: it is broken; 12 of 40 bytes. Next: fetch it again."
    assert str(FlatFilesError("it is broken")) == "it is broken."


@given(what=WORDS, where=st.none() | WORDS, why=st.none() | WORDS, next_step=st.none() | WORDS)
def test_an_error_comes_through_pickle_whole(what, where, why, next_step):
    error = InvalidArgument(what, where=where, why=why, next_step=next_step)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is InvalidArgument
    assert str(copy) == str(error)
    assert (copy.what, copy.where, copy.why, copy.next_step) == (what, where, why, next_step)


def test_a_wrong_argument_is_a_value_error():
    assert issubclass(InvalidArgument, ValueError)


def test_every_error_of_the_package_has_the_one_root_and_survives_pickle():
    for module in pkgutil.walk_packages(flatfiles_assets.__path__, "flatfiles_assets."):
        if module.name.rpartition(".")[2] == "errors":
            found = importlib.import_module(module.name)
            own = [value for value in vars(found).values() if isinstance(value, type)]
            raised = [
                value for value in own if issubclass(value, Exception) and not issubclass(value, Warning)
            ]
            assert raised
            assert all(issubclass(value, FlatFilesError) for value in raised), module.name
    for kind in _subclasses(FlatFilesError):
        if kind.__module__.startswith("flatfiles_assets."):
            copy = pickle.loads(pickle.dumps(kind("what", where="where", next_step="next")))
            assert type(copy) is kind
            assert str(copy) == "where: what. Next: next."


@pytest.mark.parametrize(
    "name", ["InvalidArgument", "MissingCredentials", "CorruptFile", "UnexpectedColumns"]
)
def test_errors_are_described(name):
    assert getattr(errors, name).__doc__
