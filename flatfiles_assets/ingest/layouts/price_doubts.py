"""What contradicts the headings of prices: their own values, and a column that says they are adjusted.

Here: doubts. Not here: which columns the prices are (`price_columns`).
"""

from __future__ import annotations

from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts import series_evidence
from flatfiles_assets.ingest.layouts.layout import NotSettled
from flatfiles_assets.ingest.layouts.number_columns import NumberColumns

# Standard errors, and rows that follow each other: headings are doubted on strong grounds only.
_AGAINST_HEADINGS, _FEWEST_PAIRS = 8.0, 40
_MOST_FOREIGN = 0.05
_CURRENCIES = frozenset(
    {"currency", "ccy", "curr", "cur", "currencycode", "curcdd", "waehrung", "wahrung", "devise", "moneda"}
)
_DOLLARS = frozenset({"USD", "US$", "$", "US DOLLAR", "DOLLAR", "USDOLLAR", "840"})
_NO = frozenset({"false", "no", "n", "f", "none"})


def refuse_exchanged(columns: NumberColumns) -> None:
    """Refuses an open and a close that headings name, and whose values say the opposite.

    Raises:
        NotSettled: They do.
    """
    opened, close = columns.known(meaning.OPEN), columns.known(meaning.CLOSE)
    first, second = columns.values(opened), columns.values(close)
    lead = series_evidence.advantage(columns.series, (second, first), (first, second))
    if lead is None or lead < _AGAINST_HEADINGS or columns.series.pairs < _FEWEST_PAIRS:
        return
    raise NotSettled(
        f"{columns.found.named(opened)} and {columns.found.named(close)} seem to be exchanged: the first "
        f"lies nearer to the second of the row after than the other way round ({lead:.1f} standard errors); "
        "state `columns` in an override",
        columns=columns.entry({opened: meaning.CLOSE, close: meaning.OPEN}),
    )


def refuse_other_money(columns: NumberColumns) -> None:
    """Refuses prices that their headings, or a column, say are not in dollars.

    Raises:
        NotSettled: They are in other money.
    """
    found = columns.found
    named = {p: h for p, h in enumerate(found.headings) if h.money and h.meaning in meaning.PRICES}
    if named:
        first = next(iter(named.values()))
        raise NotSettled(
            f"{first.text!r} says that prices are in {first.money!r} and not in dollars; to take them as "
            "they stand, state `columns` in an override",
            columns=columns.entry({place: str(heading.meaning) for place, heading in named.items()}),
        )
    for place, heading in enumerate(found.headings):
        if meaning.heading_key(heading.text) not in _CURRENCIES or found.meanings[place] is not None:
            continue
        cells = columns.sample.filled(place)
        others = sorted({cell for cell in cells if cell.strip().upper() not in _DOLLARS})
        if sum(cell in others for cell in cells) > _MOST_FOREIGN * len(cells):
            raise NotSettled(
                f"{found.named(place)} is {', '.join(map(repr, others[:3]))}: prices are not in dollars; to "
                "take them as they stand, state `columns` in an override",
                columns=columns.entry({place: meaning.IGNORED}),
            )


def refuse_qualified(columns: NumberColumns) -> None:
    """Refuses prices that are not those of the day's trades, by their headings: `Prev Open`, `Model High`.

    Raises:
        NotSettled: All four are.
    """
    named: dict[str, str] = {}
    for name in meaning.PRICES:
        for heading in columns.found.headings:
            if heading.meaning == meaning.OTHER and name in meaning.heading_key(heading.text):
                named.setdefault(name, heading.text)
    if len(named) == len(meaning.PRICES):
        raise NotSettled(
            f"its prices are {', '.join(named.values())}, which are not those of the day's trades; to take "
            "them as they stand, state `columns` in an override",
            columns={text: name for name, text in named.items()},
        )


def refuse_if_flagged(columns: NumberColumns, place: int) -> None:
    """Refuses prices beside a column that says, yes or no, whether they are adjusted.

    Raises:
        NotSettled: It does not say no.
    """
    name = columns.found.named(place)
    values = {cell.casefold() for cell in columns.sample.filled(place)}
    if values <= _NO:
        columns.found.evidence.append(f"{name} says that prices are as traded")
        return
    raise NotSettled(
        f"{name} is {', '.join(map(repr, sorted(values)[:3]))}: its prices are adjusted, and stand in no "
        "column as they were traded; to take them all the same, state `columns` in an override",
        columns=columns.entry({place: meaning.IGNORED}),
    )
