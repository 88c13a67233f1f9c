"""Files beside the data are told from data by their names, in any case and folder."""

from __future__ import annotations

import pytest

from flatfiles_assets.ingest.layouts.overrides import LayoutOverride, LayoutOverrides
from flatfiles_assets.ingest.layouts.sidecars import SIDECARS, patterns_from_setting, sidecar_pattern


@pytest.mark.parametrize(
    "name",
    [
        ".ipynb_checkpoints/a-checkpoint.csv", "x/.ipynb_checkpoints/y/a.csv", "a.csv.bak", "A.CSV.BAK",
        ".~lock.a.csv#", "~$book.xlsx", "a.csv~", "a.csv.md5", "a.csv.sha256", "manifest.json", "x/_SUCCESS",
        "part-0.parquet.crc", "a.tmp", "Thumbs.db", ".DS_Store", "._a.csv", "__MACOSX/a.csv", "SHA256SUMS",
        "a.csv.part", "_delta_log/0.json", "desktop.ini",
    ],
)  # fmt: skip
def test_it_is_no_data(name):
    assert sidecar_pattern(name)


@pytest.mark.parametrize(
    "name",
    ["a.csv", "TMP.csv", "BAK.csv", "manifest.csv", "tmp/a.csv", "LOCK/2008.csv", "SUCCESS.csv", "a.old.csv",
     "MD5.txt"],
)  # fmt: skip
def test_it_is_data(name):
    assert sidecar_pattern(name) is None


def test_settings_and_overrides_have_the_last_word():
    assert patterns_from_setting(None) == SIDECARS
    assert patterns_from_setting("") == ()
    assert patterns_from_setting("+, *_old.csv") == (*SIDECARS, "*_old.csv")
    kept = (("manifest.json",), frozenset[int](), LayoutOverride())
    stated = LayoutOverrides((kept,), patterns_from_setting("*.json"))
    assert stated.why_ignored("manifest.json") is None
    assert "*.json" in str(stated.why_ignored("other.json"))
    assert stated.why_ignored("a.bak") is None
