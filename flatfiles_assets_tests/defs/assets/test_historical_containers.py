"""A year whose members are other containers than text, from the bucket to the historical bars."""

from __future__ import annotations

import bz2
import datetime as dt
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pytest

from flatfiles_assets.demo.minio_files import zip_of
from flatfiles_assets_tests.ingest.layouts.look_alikes import BARS, DAYS, SYMBOLS, Bar
from flatfiles_assets_tests.ingest.tables.workbooks import xlsx
from flatfiles_assets_tests.platform import Platform

HEADINGS = ("date", "open", "high", "low", "close", "volume")
_SERIAL_ZERO = dt.date(1899, 12, 30)


def _values(bar: Bar) -> tuple[object, ...]:
    return (bar.day.isoformat(), bar.open, bar.high, bar.low, bar.close, bar.volume)


def _records(bars: Sequence[Bar]) -> list[dict[str, object]]:
    return [dict(zip(HEADINGS, _values(bar), strict=True)) for bar in bars]


def _csv(bars: Sequence[Bar]) -> bytes:
    return "\n".join([",".join(HEADINGS), *(",".join(map(str, _values(bar))) for bar in bars), ""]).encode()


def _workbook(bars: Sequence[Bar]) -> bytes:
    rows = [(("date", (bar.day - _SERIAL_ZERO).days), *_values(bar)[1:]) for bar in bars]
    return xlsx({"Sheet1": [HEADINGS, *rows]})


def _parquet(bars: Sequence[Bar]) -> bytes:
    frame = pd.DataFrame(_records(bars))
    out = io.BytesIO()
    frame.assign(date=pd.to_datetime(frame["date"])).set_index("date").to_parquet(out)
    return out.getvalue()


def _feather(bars: Sequence[Bar]) -> bytes:
    out = io.BytesIO()
    feather.write_feather(pa.Table.from_pylist(_records(bars)), out)
    return out.getvalue()


def _fixed_width(bars: Sequence[Bar]) -> bytes:
    lines = ["date           open    high     low   close     volume"]
    lines += [
        f"{bar.day} {bar.open:>8.2f}{bar.high:>8.2f}{bar.low:>8.2f}{bar.close:>8.2f}{bar.volume:>11}"
        for bar in bars
    ]
    return "\n".join(lines).encode()


def _tar_gz(bars: Sequence[Bar]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        body = _csv(bars)
        info = tarfile.TarInfo(f"{bars[0].ticker}.csv")
        info.size = len(body)
        archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


CONTAINERS: dict[str, Callable[[Sequence[Bar]], bytes]] = {
    "xlsx": _workbook,
    "parquet": _parquet,
    "feather": _feather,
    "csv.bz2": lambda bars: bz2.compress(_csv(bars)),
    "csv.xz": lambda bars: lzma.compress(_csv(bars)),
    "tar.gz": _tar_gz,
    "json": lambda bars: json.dumps(_records(bars)).encode(),
    "jsonl": lambda bars: "\n".join(map(json.dumps, _records(bars))).encode(),
    "prn": _fixed_width,
}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_year_in_any_container_goes_from_the_bucket_to_the_historical_bars(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    name = platform.server.new_bucket()
    monkeypatch.setenv("MINIO_ENDPOINT_URL", platform.server.endpoint_url)
    monkeypatch.setenv("MINIO_BUCKET", name)
    monkeypatch.setenv("MINIO_ACCESS_KEY", platform.server.access_key_id)
    monkeypatch.setenv("MINIO_SECRET_KEY", platform.server.secret_access_key)
    members = {
        f"{ticker}.{suffix}": CONTAINERS[suffix]([bar for bar in BARS if bar.ticker == ticker])
        for ticker in SYMBOLS
    }
    platform.server.client().put_object(Bucket=name, Key="historical/2008.zip", Body=zip_of(members))

    runs = [
        *platform.run(["2008"], job="historical_years"),
        *platform.run([day.isoformat() for day in DAYS], job="historical_daily"),
    ]

    assert all(run.succeeded for run in runs), [run.message for run in runs]
    stored = platform.rows(
        "SELECT trade_date, ticker, open, high, low, close, volume FROM market.historical_daily"
    )
    assert {(day, ticker): tuple(values) for day, ticker, *values in stored} == {
        (bar.day, bar.ticker): (bar.open, bar.high, bar.low, bar.close, float(bar.volume)) for bar in BARS
    }
    assert len(stored) == len(BARS)
