"""The override file: what it may say, and how it says what is wrong with it."""

from __future__ import annotations

import pytest

from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets.ingest.layouts.layout import NotSettled
from flatfiles_assets.ingest.layouts.overrides import load_overrides


def _load(tmp_path, text: str):
    path = tmp_path / "layouts.toml"
    path.write_text(text)
    return load_overrides(path)


def test_the_first_entry_that_matches_a_file_is_taken(tmp_path):
    overrides = _load(
        tmp_path,
        """
        [[files]]
        match = "eod/*.txt"
        years = [2003, 2004]
        separator = "|"
        columns = ["symbol", "date", "open", "high", "low", "close", "volume", "ignored", "ignored"]

        [[files]]
        match = ["*.txt", "readme*"]
        ignore = true
        """,
    )
    assert overrides.for_file("eod/a.txt", 2003).separator == "|"
    assert overrides.for_file("eod/a.txt", 2005).ignore
    assert overrides.for_file("deep/readme.md").ignore
    assert overrides.for_file("a.csv") is None


def test_columns_may_be_given_by_heading(tmp_path):
    override = _load(tmp_path, '[[files]]\nmatch = "*"\ncolumns = {Kurs = "close", Tag = "date"}\n').for_file(
        "a"
    )
    assert override.meanings_by_place(("Tag", "Open", "Kurs"), 3) == {0: "date", 2: "close"}
    with pytest.raises(NotSettled, match="Kurs"):
        override.meanings_by_place(("Tag", "Open", "Close"), 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not toml", "not TOML"),
        ("[other]\n", "unknown key 'other'"),
        ("[[files]]\nseparator = ','\n", "match"),
        ("[[files]]\nmatch = '*'\nsep = ','\n", "unknown key 'sep'.*separator"),
        ("[[files]]\nmatch = '*'\nseparator = ':'\n", r"separator = ':' is not valid.*one of"),
        ("[[files]]\nmatch = '*'\nheader = 1\n", "header = 1 is not valid.*True, False"),
        ("[[files]]\nmatch = '*'\ndate_format = '%m/%d'\n", "date_format.*year, month and day"),
        ("[[files]]\nmatch = '*'\ntimezone = 'Mars'\n", "timezone = 'Mars'.*IANA"),
        ("[[files]]\nmatch = '*'\ncolumns = ['open', 'open']\n", "columns.*each but ignored once"),
        ("[[files]]\nmatch = '*'\ncolumns = ['opening']\n", "columns.*adjusted_close"),
        ("[[files]]\nmatch = '*'\nyears = ['2003']\n", "years"),
        ("[[files]]\nmatch = '*'\nbar_size = 'weekly'\n", "'daily', 'intraday'"),
    ],
)
def test_an_invalid_entry_is_named_with_the_valid_values(tmp_path, text, message):
    with pytest.raises(InvalidArgument, match=message):
        _load(tmp_path, text)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InvalidArgument, match="no override file"):
        load_overrides(tmp_path / "none.toml")
