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


@pytest.mark.parametrize(
    "text",
    [
        "files = 3", "files = {}", "files = [1]", "files = [[]]", "files = 'x'", "[files]\nmatch = '*'",
        "x = 1",
        "[[files]]", "[[files]]\nmatch = 3", "[[files]]\nmatch = []", "[[files]]\nmatch = [{}]",
        "[[files]]\nmatch = '*'\nyears = '2008'", "[[files]]\nmatch = '*'\nyears = [true]",
        "[[files]]\nmatch = '*'\ncolumns = {a = [1]}", "[[files]]\nmatch = '*'\ncolumns = [{}]",
        "[[files]]\nmatch = '*'\n[files.columns]\na = {b = 1}",
        "[[files]]\nmatch = '*'\ncolumns = 2008-01-02",
        "[[files]]\nmatch = '*'\nheader = [[[]]]", "[[files]]\nmatch = '*'\noptions = [1]",
        "[[files]]\nmatch = '*'\nprice_scale = nan", "[[files]]\nmatch = '*'\nsymbol_pattern = '('",
        "a = " + "[" * 5_000 + "]" * 5_000, "not toml at all", "[[files]", "\x00",
    ],
)  # fmt: skip
def test_a_file_of_another_shape_is_one_message_that_names_the_file(tmp_path, text: str):
    with pytest.raises(InvalidArgument, match=r"layouts\.toml.*Next: "):
        _load(tmp_path, text)


def test_what_is_no_file_is_one_message(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b"# \xff\n")
    for path in (tmp_path, tmp_path / "none.toml", tmp_path / "latin.toml", tmp_path / "latin.toml" / "x"):
        with pytest.raises(InvalidArgument, match=r"Next: "):
            load_overrides(path)


def test_a_mark_before_the_text_is_no_part_of_it(tmp_path):
    assert _load(tmp_path, "\ufeff[[files]]\nmatch = '*'\nignore = true\n").for_file("a").ignore
