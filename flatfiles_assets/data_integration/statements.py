"""Financial statements of any vendor as what was known of a company on each day.

Here: rows to states. Pure: tables in, tables out. Not here: which columns say what
(`statement_columns`), reading the warehouse and joining to sessions (`unified`).

A statement is identified by company, period's end, fiscal period and timeframe: annual and quarterly
figures never become one row, and a restatement replaces its own period only. What is known on a day is
the statement of the latest period that was published before it.

The day of publication comes from the first of `PUBLISHED` that a row has. A period's end is never taken
for it: a row without one counts from a stated number of days after the period's end, and the report
says so; so does a row that is "published" before its period ends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from flatfiles_assets.data_integration.statement_columns import (
    FISCAL_PERIOD,
    FISCAL_YEAR,
    PERIOD_END,
    StatementColumns,
    find_columns,
    plain_name,
    timeframe_of_word,
)
from flatfiles_assets.errors import UnexpectedColumns
from flatfiles_assets.ingest.layouts.date_columns import is_given, read_date_column, shown
from flatfiles_assets.ingest.tables.table_files import column_names

# One stray value in twenty is left out with its rows and reported; more put the column in doubt.
_MOST_UNREADABLE = 0.05

KNOWN, PERIOD, ORDER, FRAME = "_known", "_period_end", "_order", "_timeframe"
#: Of a state that counts by the stated lag: the period's end, after which it was published nobody knows when.
UNDATED_SINCE = "_undated_since"
_LAGGED = "_lagged"


@dataclasses.dataclass(frozen=True)
class StatementReport:
    """What became of the rows of the symbols asked for.

    Attributes:
        rows: Rows of them in the table.
        placed: Rows that a state was made of.
        unparsed: Rows left out because a date of theirs is no date, with examples.
        lagged: Rows without a usable day of publication.
        lag_days: After how many days from the period's end those count.
        published_by: The columns that the days of publication come from.
        restated_later: Rows whose values the vendor changed after their publication.
        of_others: Rows under a ticker that another company bore when they were published.
    """

    rows: int
    placed: int
    unparsed: int
    examples: tuple[str, ...]
    lagged: int
    lag_days: int
    published_by: tuple[str, ...]
    restated_later: int
    of_others: int = 0

    def in_json(self) -> dict[str, Any]:
        """The report in terms of JSON."""
        return dataclasses.asdict(self) | {
            "examples": list(self.examples),
            "published_by": list(self.published_by),
        }


#: The companies that rows are about, from their tickers, days of publication and SEC numbers (""
#: where there is none); null for a company that is not asked for.
CompaniesOf = Callable[[pl.Series, pl.Series, pl.Series], pl.Series]


def known_states(
    table: pl.DataFrame,
    lag_days: int,
    name: str,
    timeframe: str | None = None,
    companies_of: CompaniesOf | None = None,
) -> tuple[pl.DataFrame, StatementReport]:
    """What was known of each company, from which day on.

    Args:
        table: Statements of the symbols asked for, with the columns as they are stored.
        lag_days: Days after a period's end from which a row without a day of publication counts.
        name: The table's name, for messages.
        timeframe: ``quarterly``, ``annual``, ``ttm`` or ``semiannual``: only statements of it.
        companies_of: Whose statements they are, where a ticker may be of two companies: what one of
            them filed says nothing of the other's latest period.

    Returns:
        A row for each day on which something of the latest known period became known, sorted by
        symbol and `KNOWN`, with the statement's columns, `FRAME` and `UNDATED_SINCE`; and what became of
        the rows. A state counts from the first session *after* `KNOWN`.

    Raises:
        UnexpectedColumns: Columns are lacking, or a column of dates is not one.
    """
    columns = find_columns(table.columns, name)
    rows = table.with_row_index("_place")
    rows, columns = _with_period(rows, columns, name)
    rows, unparsed = _with_known(rows, columns, lag_days, name)
    rows, of_others = _of_companies(rows, columns, companies_of)
    rows = rows.with_columns(_timeframe_of(columns).alias(FRAME))
    report = StatementReport(
        rows=table.height,
        placed=rows.height,
        unparsed=table.height - rows.height - of_others,
        examples=tuple(unparsed),
        lagged=int(rows.get_column(_LAGGED).sum()),
        lag_days=lag_days,
        published_by=columns.published,
        restated_later=_restated_later(rows, columns),
        of_others=of_others,
    )
    if timeframe is not None:
        rows = rows.filter(pl.col(FRAME) == timeframe)
    if columns.tag:
        rows = _as_columns(rows, columns)
    return _latest_known(_versions(rows, columns), columns), report


def _with_period(
    rows: pl.DataFrame, columns: StatementColumns, name: str
) -> tuple[pl.DataFrame, StatementColumns]:
    """Rows with the period's end, from the first column of such a name that holds days."""
    chosen = None
    days = pl.Series([None] * rows.height, dtype=pl.Date)
    for column in dict.fromkeys(c for choice in PERIOD_END if (c := _find(rows, choice))):
        days, unreadable, ambiguity = _days(rows.get_column(column))
        if ambiguity:
            raise _unusable(name, column, ambiguity)
        if unreadable and _looks_like_periods(unreadable):
            continue  # `period` may hold Q1 and FY
        _refuse_unreadable(name, column, days, unreadable)
        chosen = column
        break
    stated = dataclasses.replace(
        columns,
        period_end=chosen,
        fiscal_year=_first_but(rows, FISCAL_YEAR, chosen),
        fiscal_period=_first_but(rows, FISCAL_PERIOD, chosen),
    )
    if chosen is None:
        days = pl.Series([None] * rows.height, dtype=pl.Date)
        if not columns.published:
            raise _unusable(name, str(columns.period_end), "its values are no days")
    return rows.with_columns(days.alias(PERIOD)), stated


def _first_but(rows: pl.DataFrame, choices: Sequence[str], taken: str | None) -> str | None:
    found = (_find(rows, choice) for choice in choices)
    return next((column for column in found if column is not None and column != taken), None)


def _refuse_unreadable(name: str, column: str, days: pl.Series, unreadable: Sequence[str]) -> None:
    if unreadable and len(unreadable) > _MOST_UNREADABLE * (len(unreadable) + days.n_unique()):
        raise _unusable(name, column, f"these of its values are no dates: {shown(unreadable)}")


def _looks_like_periods(texts: Sequence[str]) -> bool:
    return all(timeframe_of_word(text) for text in texts)


def _find(rows: pl.DataFrame, choice: str) -> str | None:
    return next((name for name in rows.columns if plain_name(name) == plain_name(choice)), None)


def _with_known(
    rows: pl.DataFrame, columns: StatementColumns, lag_days: int, name: str
) -> tuple[pl.DataFrame, list[str]]:
    """Rows with the day on which each became public; those of which no day is known are left out."""
    examples: list[str] = []
    given = pl.lit(False)
    published = pl.lit(None, pl.Date)
    for column in columns.published:
        days, unreadable, ambiguity = _days(rows.get_column(column))
        if ambiguity:
            raise _unusable(name, column, ambiguity)
        _refuse_unreadable(name, column, days, unreadable)
        examples += [f"{column} = {value!r}" for value in unreadable[:5]]
        is_bad = rows.get_column(column).cast(pl.String).is_in(unreadable).fill_null(False)
        rows = rows.with_columns(days.alias(f"_day {column}"), is_bad.alias(f"_bad {column}"))
        # A bad value is no reason to trust a column that is trusted less.
        given |= pl.col(f"_bad {column}") & published.is_null()
        published = pl.coalesce(published, pl.col(f"_day {column}"))
    lagged_day = pl.col(PERIOD) + pl.duration(days=lag_days)
    is_premature = (published <= pl.col(PERIOD)).fill_null(False)
    is_lagged = (published.is_null() | is_premature) & ~given
    rows = rows.with_columns(
        pl.when(given).then(None).when(is_lagged).then(lagged_day).otherwise(published).alias(KNOWN),
        is_lagged.alias(_LAGGED),
    )
    if columns.period_end:
        no_period = pl.col(PERIOD).is_null()
        values = rows.filter(no_period).get_column(columns.period_end).cast(pl.String).unique().to_list()
        examples += [f"{columns.period_end} = {value!r}" for value in values[:5]]
        rows = rows.filter(~no_period)
    return rows.filter(pl.col(KNOWN).is_not_null()), examples


def _of_companies(
    rows: pl.DataFrame, columns: StatementColumns, companies_of: CompaniesOf | None
) -> tuple[pl.DataFrame, int]:
    """Rows whose symbol is the company's name, and how many are about others."""
    if companies_of is None:
        return rows, 0
    cik = _find(rows, "cik")
    number = pl.lit("") if cik is None else pl.col(cik).cast(pl.String).str.extract(r"^0*(\d+)(?:\.0)?$")
    cases = rows.select(pl.col(columns.symbol).cast(pl.String), KNOWN, number.fill_null("").alias("_cik"))
    companies = companies_of(*cases.get_columns())
    placed = rows.with_columns(companies.alias(columns.symbol)).filter(companies.is_not_null())
    return placed, rows.height - placed.height


def _days(column: pl.Series) -> tuple[pl.Series, list[str], str]:
    """A column's days, the distinct values that are none, and why it cannot be read at all."""
    if column.dtype == pl.Date:
        return column, [], ""
    if isinstance(column.dtype, pl.Datetime):
        zone = column.dtype.time_zone
        texts = column.dt.strftime("%Y-%m-%d %H:%M:%S%:z" if zone else "%Y-%m-%d %H:%M:%S")
    elif column.dtype.is_float():
        is_whole = column.is_finite() & (column == column.round())
        texts = pl.select(
            pl.when(is_whole).then(column.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(
                column.fill_nan(None).cast(pl.String)
            )
        ).to_series()  # fmt: skip
    else:
        texts = column.cast(pl.String)
    found = read_date_column(texts.to_list())
    days = texts.replace_strict(found.days, default=None, return_dtype=pl.Date) if found.days else (
        pl.Series(column.name, [None] * len(column), pl.Date)
    )  # fmt: skip
    return days, [text for text in found.unreadable if is_given(text)], found.ambiguity


def _unusable(name: str, column: str, why: str) -> UnexpectedColumns:
    return UnexpectedColumns(
        f"the dates of {column!r} cannot be used",
        where=name,
        why=why,
        next_step="write them as YYYY-MM-DD; a date that is misread or left out would change what was known",
    )


def _timeframe_of(columns: StatementColumns) -> pl.Expr:
    """``quarterly``, ``annual``, …, by the first column that says so; "" where none does."""
    said = [column for column in (columns.timeframe, columns.fiscal_period, columns.form) if column]
    words = [
        pl.col(column).cast(pl.String).map_elements(timeframe_of_word, pl.String, skip_nulls=True)
        for column in said
    ]
    return pl.coalesce([*words, pl.lit("")])


def _restated_later(rows: pl.DataFrame, columns: StatementColumns) -> int:
    if columns.restated is None or columns.restated not in rows.columns:
        return 0
    days, _, ambiguity = _days(rows.get_column(columns.restated))
    if ambiguity:
        return 0
    return int((days > rows.get_column(KNOWN)).fill_null(False).sum())


def _identity(columns: StatementColumns) -> list[str]:
    # Sharadar's dimensions tell figures as reported from those that were restated later.
    stated = [columns.fiscal_year, columns.fiscal_period, _dimension(columns)]
    return [columns.symbol, PERIOD, FRAME, *(column for column in stated if column)]


def _dimension(columns: StatementColumns) -> str | None:
    is_one = columns.timeframe is not None and plain_name(columns.timeframe) == "dimension"
    return columns.timeframe if is_one else None


def _as_columns(rows: pl.DataFrame, columns: StatementColumns) -> pl.DataFrame:
    """Rows of one tag and value each as rows with a column a tag."""
    tag, value = str(columns.tag), str(columns.value)
    label = pl.col(tag).cast(pl.String)
    for qualifier in columns.qualifiers:
        said = pl.col(qualifier).cast(pl.String).fill_null("")
        usual = rows.group_by(tag).agg(said.mode().sort().first().alias(f"_usual {qualifier}"))
        rows = rows.join(usual, on=tag, how="left", maintain_order="left")
        label = pl.when(said == pl.col(f"_usual {qualifier}")).then(label).otherwise(label + " " + said)
    rows = rows.with_columns(label.alias("_label")).filter(pl.col("_label").is_not_null())
    labels = rows.get_column("_label").unique(maintain_order=True).to_list()
    used = {tag, value, "_label", "_place", *columns.qualifiers}
    kept = [c for c in rows.columns if c not in used and not c.startswith("_usual ")]
    names = dict(zip(labels, column_names([*kept, *labels])[len(kept) :], strict=True))
    index = [*dict.fromkeys([*_identity(columns), KNOWN])]
    rest = [column for column in kept if column not in index]
    values = rows.with_columns(pl.col("_label").replace_strict(names)).pivot(
        "_label", index=index, values=value, aggregate_function="last", maintain_order=True
    )
    first = rows.group_by(index, maintain_order=True).agg(pl.col(rest).last(), pl.col("_place").last())
    return first.join(values, on=index, how="left", nulls_equal=True, maintain_order="left")


def _versions(rows: pl.DataFrame, columns: StatementColumns) -> pl.DataFrame:
    """What was known of each statement after each of its publications, later values replacing earlier."""
    identity = _identity(columns)
    if not (columns.period_end or columns.fiscal_year):
        identity.append(KNOWN)  # of what period each is, nobody knows: none completes another
    own = [column for column in rows.columns if column not in (*identity, KNOWN)]
    return (
        rows.sort(KNOWN, "_place", maintain_order=True)
        # What was filed of one period on one day (income, balance sheet) is one statement.
        .group_by(list(dict.fromkeys([*identity, KNOWN])), maintain_order=True)
        .agg(pl.col(own).drop_nulls().last())
        .with_columns(pl.col(own).forward_fill().over(identity))
        .select(*rows.columns)
    )


def _latest_known(versions: pl.DataFrame, columns: StatementColumns) -> pl.DataFrame:
    """The versions that change what is known of the latest period."""
    order = pl.col(PERIOD).cast(pl.Int64) if columns.period_end else _fiscal_order(columns)
    # Where a year and its last quarter end on one day, the quarter goes on as the ones before it.
    rank = pl.col(FRAME).replace_strict(
        {"quarterly": 3, "semiannual": 2, "annual": 1, "ttm": 0}, default=1, return_dtype=pl.Int64
    )
    ordered = (
        versions.with_columns((order.fill_null(0) * 8 + rank * 2 + _as_reported(columns)).alias(ORDER))
        .sort(columns.symbol, KNOWN, ORDER, "_place", maintain_order=True)
        .with_columns(pl.col(ORDER).cum_max().over(columns.symbol).alias("_latest"))
    )
    return (
        ordered.filter(pl.col(ORDER) == pl.col("_latest"))
        .unique([columns.symbol, KNOWN], keep="last", maintain_order=True)
        .with_columns(pl.when(_LAGGED).then(PERIOD).alias(UNDATED_SINCE))
        .drop("_latest", ORDER, "_place", PERIOD, _LAGGED)
        .select(pl.exclude("^_(day|bad) .*$"))
    )


def _as_reported(columns: StatementColumns) -> pl.Expr:
    """1, or 0 for figures that hold what was known only later."""
    dimension = _dimension(columns)
    if dimension is None:
        return pl.lit(1, pl.Int64)
    return (~pl.col(dimension).cast(pl.String).str.starts_with("MR")).fill_null(True).cast(pl.Int64)


def _fiscal_order(columns: StatementColumns) -> pl.Expr:
    if columns.fiscal_year is None:
        return pl.lit(0, pl.Int64)
    year = pl.col(columns.fiscal_year).cast(pl.String).str.extract(r"(\d{4})").cast(pl.Int64)
    if columns.fiscal_period is None:
        return year * 10
    quarter = pl.col(columns.fiscal_period).cast(pl.String).str.extract(r"([1-4])").cast(pl.Int64)
    return year * 10 + quarter.fill_null(4)


def mixes_timeframes(states: pl.DataFrame, symbol: str) -> Mapping[str, list[str]]:
    """The timeframes that follow each other, of the symbols whose states are of more than one."""
    frames = states.group_by(symbol, maintain_order=True).agg(pl.col(FRAME).unique().sort())
    return {name: found for name, found in frames.iter_rows() if len(found) > 1}
