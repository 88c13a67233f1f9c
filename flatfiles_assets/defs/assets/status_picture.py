"""The inventory of a feed as a picture small enough for Dagster's event log.

Here: one PNG per year, within Markdown. Of Markdown, Dagster's UI shows images with ``data:`` addresses
and takes out inline SVG. Not here: the page for the browser (`status_page.py`).
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

from flatfiles_assets.warehouse import inventory
from flatfiles_assets.warehouse.inventory import SessionStatus, by_year, colour_of, place

_CELL, _GAP = 5, 1
_WEEKS = 54
_BACKGROUND = "#ffffff"
#: Years in the picture: older ones change rarely, and the page shows them all.
PICTURED_YEARS = 6


def inventory_markdown(statuses: Sequence[SessionStatus]) -> str:
    """The latest years of a feed, a line each: the picture, and the counts in words."""
    lines = ["| year | sessions | |", "|---|---|---|"]
    for year, days in list(by_year(statuses).items())[:PICTURED_YEARS]:
        counts = inventory.counts_in_words(days)
        encoded = base64.b64encode(year_png(days)).decode()
        lines.append(f"| {year} | ![{year}](data:image/png;base64,{encoded}) | {counts} |")
    return "\n".join([*lines, "", "Each session and its reason: `flatfiles status --html FILE`"])


def year_png(statuses: Sequence[SessionStatus]) -> bytes:
    """One year: a column per week, a row per weekday, a square per session."""
    n_rows = max(max((status.session.weekday() for status in statuses), default=0) + 1, 5)
    step = _CELL + _GAP
    width, height = _WEEKS * step, n_rows * step
    palette = {_BACKGROUND: 0}
    pixels = [bytearray(width) for _ in range(height)]
    for status in statuses:
        number = palette.setdefault(colour_of(status), min(len(palette), 255))
        column, row = place(status.session)
        for y in range(row * step, row * step + _CELL):
            pixels[y][column * step : column * step + _CELL] = bytes([number]) * _CELL
    return _png(width, height, list(palette)[:256], pixels)


def _png(width: int, height: int, palette: Sequence[str], rows: Sequence[bytes | bytearray]) -> bytes:
    """A PNG of palette colours (ISO/IEC 15948), one byte per pixel."""
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    colours = b"".join(bytes.fromhex(colour[1:]) for colour in palette)
    unfiltered = b"".join(b"\0" + bytes(row) for row in rows)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, body)
        for kind, body in (
            (b"IHDR", header),
            (b"PLTE", colours),
            (b"IDAT", zlib.compress(unfiltered, 9)),
            (b"IEND", b""),
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
