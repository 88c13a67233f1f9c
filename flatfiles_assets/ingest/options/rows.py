"""Rows of one file of option quotes, in the columns that all files share.

Here: a block of a file's table to typed columns, with the rows that are no quotes beside it. Not here:
how the file is to be read (`layouts`).
"""

from __future__ import annotations

import polars as pl

from flatfiles_assets.ingest.layouts.date_columns import is_given
from flatfiles_assets.ingest.option_tickers import option_columns, underlying_of_root
from flatfiles_assets.ingest.options.headings import QUOTES, plain
from flatfiles_assets.ingest.options.option_layout import OptionLayout

#: The typed columns, in order; what else a file has follows as it was written.
TYPED = {
    "underlying": pl.String,
    "expiry": pl.Date,
    "option_type": pl.String,
    "strike": pl.Float64,
    "quote_date": pl.Date,
    **dict.fromkeys(QUOTES, pl.Float64),
    "contract": pl.String,
}
REQUIRED = ("underlying", "expiry", "option_type", "strike", "quote_date")
# Before 2015 a contract's symbol says the Saturday after its last day.
_MOST_DAYS_APART = 3
_TYPES = {"c": "C", "call": "C", "calls": "C", "p": "P", "put": "P", "puts": "P"}


def as_text(column: pl.Series) -> pl.Series:
    """A column's cells as a text file would have them."""
    if column.dtype == pl.String:
        return column.str.strip_chars()
    if column.dtype.is_float():
        is_whole = (column.is_finite() & (column == column.round())).fill_null(False)
        whole = column.cast(pl.Int64, strict=False).cast(pl.String)
        return pl.select(pl.when(is_whole).then(whole).otherwise(column.cast(pl.String))).to_series()
    if isinstance(column.dtype, pl.Datetime):
        zone = column.dtype.time_zone
        return column.dt.strftime("%Y-%m-%d %H:%M:%S%:z" if zone else "%Y-%m-%d %H:%M:%S")
    return column.cast(pl.String)


def convert_block(
    block: pl.DataFrame, layout: OptionLayout, first_row: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The quotes of a block.

    Args:
        block: Some rows of the file's table, columns in snake case.
        layout: How they are read.
        first_row: Number of the block's first row in the file, from 1.

    Returns:
        Quotes with the columns `TYPED` and the file's others; and rows that are none: ``row`` and
        ``reason``.
    """
    numbered = block.with_row_index("_row", first_row)
    if layout.sides:
        of_sides = {column for pair in layout.sides.values() for column in pair}
        common = [name for name in numbered.columns if name not in of_sides]
        rows = pl.concat(
            [
                numbered.select(
                    *common,
                    *(pl.col(pair[side]).alias(name) for name, pair in layout.sides.items()),
                    pl.lit(kind).alias("_side"),
                )
                for side, kind in enumerate(("C", "P"))
            ]
        ).sort("_row", maintain_order=True)
    else:
        rows = numbered
    used = set(layout.columns.values())
    texts = {meaning: as_text(rows.get_column(column)) for meaning, column in layout.columns.items()}
    typed, problems = _typed(rows, texts, layout)
    rest = {
        f"{name}_as_written" if name in TYPED else name: rows.get_column(name)
        for name in rows.columns
        if name not in used and not name.startswith("_")
    }
    # A reason for each row that is no quote: the first that holds.
    reason = pl.coalesce([pl.when(test).then(pl.lit(why)) for why, test in problems.items()])
    judged = pl.DataFrame(
        {**typed, **{name: c.alias(name) for name, c in rest.items()}, "_row": rows["_row"]}
    )
    judged = judged.with_columns(reason.alias("_reason"))
    refused = judged.filter(pl.col("_reason").is_not_null())
    quotes = judged.filter(pl.col("_reason").is_null()).drop("_row", "_reason")
    return quotes, refused.select(pl.col("_row").alias("row"), pl.col("_reason").alias("reason"))


def _typed(
    rows: pl.DataFrame, texts: dict[str, pl.Series], layout: OptionLayout
) -> tuple[dict[str, pl.Series], dict[str, pl.Expr]]:
    """The typed columns, and by reason which rows are no quotes."""
    nothing = pl.Series("", [None] * rows.height, pl.String)
    contract = texts.get("contract", nothing)
    of_contract = pl.DataFrame(option_columns(contract.to_arrow().cast("string")))
    own: dict[str, pl.Series] = {}
    own["underlying"] = _underlying(texts, layout, of_contract)
    for meaning in ("expiry", "quote_date"):
        if meaning in texts:
            days = layout.days[meaning]
            own[meaning] = texts[meaning].replace_strict(dict(days), default=None, return_dtype=pl.Date)
    own.setdefault("expiry", of_contract.get_column("expiry"))
    own.setdefault("quote_date", pl.Series([layout.quote_date] * rows.height, dtype=pl.Date))
    if layout.sides:
        own["option_type"] = rows.get_column("_side")
    elif "option_type" in texts:
        words = texts["option_type"].str.to_lowercase()
        own["option_type"] = words.replace_strict(_TYPES, default=None, return_dtype=pl.String)
    else:
        own["option_type"] = of_contract.get_column("option_type")
    unreadable: dict[str, pl.Series] = {}
    for meaning in ("strike", *QUOTES):
        if meaning in texts:
            own[meaning], unreadable[meaning] = _numbers(texts[meaning], layout.decimal)
    if "strike" in own:
        own["strike"] = (own["strike"] * layout.strike_scale).round(6)
    else:
        own["strike"] = of_contract.get_column("strike")
    for quote in QUOTES:
        values = own.get(quote)
        if values is None:
            own[quote] = pl.Series([None] * rows.height, dtype=pl.Float64)
            continue
        # Below zero, and for a volatility at it, stands what could not be had.
        is_value = values > 0 if quote == "implied_volatility" else values >= 0
        scale = layout.volatility_scale if quote == "implied_volatility" else 1.0
        own[quote] = pl.select(pl.when(is_value).then(values * scale)).to_series()
    own["contract"] = contract
    typed = {name: own[name].alias(name) for name in TYPED}
    return typed, _problems(typed, of_contract, unreadable)


def _problems(
    typed: dict[str, pl.Series], of_contract: pl.DataFrame, unreadable: dict[str, pl.Series]
) -> dict[str, pl.Expr]:
    strike, kind, expiry = (typed[name] for name in ("strike", "option_type", "expiry"))
    far = (expiry - of_contract.get_column("expiry")).dt.total_days().abs() > _MOST_DAYS_APART
    differs = (
        ((strike - of_contract.get_column("strike")).abs() > 1e-4).fill_null(False)
        | (kind != of_contract.get_column("option_type")).fill_null(False)
        | far.fill_null(False)
    )
    tests = {f"it has no {name.replace('_', ' ')}": typed[name].is_null() for name in REQUIRED}
    tests |= {f"its {name.replace('_', ' ')} is no number": bad for name, bad in unreadable.items()}
    tests["its contract is another than its columns say"] = differs
    tests["it is quoted after its expiry"] = (expiry < typed["quote_date"]).fill_null(False)
    tests["its strike is not above zero"] = (strike <= 0).fill_null(False)
    return {reason: pl.lit(test) for reason, test in tests.items()}


def _underlying(texts: dict[str, pl.Series], layout: OptionLayout, of_contract: pl.DataFrame) -> pl.Series:
    if layout.underlying:
        return pl.Series([layout.underlying] * of_contract.height, dtype=pl.String)
    if "underlying" not in texts:
        return of_contract.get_column("underlying")
    symbols = texts["underlying"].str.strip_chars_start("^$")
    symbols = pl.select(pl.when(symbols != "").then(symbols)).to_series()
    if layout.tickers:
        symbols = symbols.replace(layout.tickers)
    if "root" in plain(layout.columns["underlying"]):
        roots = {root: underlying_of_root(root) for root in symbols.drop_nulls().unique().to_list()}
        return symbols.replace_strict(roots, default=None, return_dtype=pl.String)
    return symbols


def _numbers(texts: pl.Series, decimal: str) -> tuple[pl.Series, pl.Series]:
    """Numbers, and where something stands that is none."""
    plain = texts
    if decimal == ",":
        plain = texts.str.replace_all(".", "", literal=True).str.replace_all(",", ".", literal=True)
    cleaned = (
        plain.str.strip_chars_start("$").str.strip_chars_end("% ").str.replace_all(",", "", literal=True)
    )
    numbers = cleaned.cast(pl.Float64, strict=False)
    numbers = pl.select(pl.when(numbers.is_finite()).then(numbers)).to_series()
    distinct = texts.filter(numbers.is_null() & texts.is_not_null()).unique().to_list()
    given = [text for text in distinct if is_given(text) and text.lower() not in ("inf", "-inf")]
    return numbers, texts.is_in(given).fill_null(False) if given else pl.Series([False] * len(texts))
