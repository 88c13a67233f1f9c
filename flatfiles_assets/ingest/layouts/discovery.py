"""From a file's lines to its layout, by evidence.

Here: the order in which questions are settled, each by the module that knows its evidence: shape
(`structure`), date, time and symbol (`text_columns`), the format of dates (`date_evidence`), prices and
volume (`price_columns`, `price_scales`), symbols in names (`file_names`), sessions and hours
(`daily_stamps`, `session_hours`). Siblings (files of one archive that begin alike) are discovered
together: they share the evidence, and the time it takes.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt

from flatfiles_assets.errors import CorruptFile
from flatfiles_assets.ingest.layouts import column_aliases as meaning
from flatfiles_assets.ingest.layouts.bar_dates import find_bar_numbers, settle_date_format
from flatfiles_assets.ingest.layouts.bar_sizes import with_bar_size
from flatfiles_assets.ingest.layouts.column_aliases import Heading
from flatfiles_assets.ingest.layouts.date_evidence import DateVerdict
from flatfiles_assets.ingest.layouts.date_formats import (
    first_stamp,
    parse_day,
    parse_stamp,
    parse_time,
)
from flatfiles_assets.ingest.layouts.file_names import NameRule, find_name_rule, symbol_text
from flatfiles_assets.ingest.layouts.known_columns import TextColumns, moments_of, repeated_share
from flatfiles_assets.ingest.layouts.layout import FileLayout, NotSettled, NotUnderstood, missing_columns
from flatfiles_assets.ingest.layouts.name_dates import date_text
from flatfiles_assets.ingest.layouts.name_words import is_ticker_like
from flatfiles_assets.ingest.layouts.number_formats import settle_decimal
from flatfiles_assets.ingest.layouts.overrides import PLACEHOLDER, LayoutOverride
from flatfiles_assets.ingest.layouts.price_columns import PriceColumns
from flatfiles_assets.ingest.layouts.price_scales import settle_scale
from flatfiles_assets.ingest.layouts.samples import Sample, take_sample
from flatfiles_assets.ingest.layouts.series_evidence import Series
from flatfiles_assets.ingest.layouts.source_file import SourceFile
from flatfiles_assets.ingest.layouts.structure import Structure, find_structure
from flatfiles_assets.ingest.layouts.text_columns import settle_text_columns
from flatfiles_assets.ingest.layouts.text_files import Head, read_head


def discover(
    files: Sequence[SourceFile],
    override: LayoutOverride | None = None,
    year: int | None = None,
    known_tickers: AbstractSet[str] = frozenset(),
    fellow_names: Sequence[str] = (),
) -> FileLayout | NotUnderstood:
    """The layout that all these files share.

    Args:
        files: Siblings, at least one.
        override: What the user states about them.
        year: The year that their dates must lie in, where it is known.
        known_tickers: Tickers that the warehouse knows of that year, where it has any.
        fellow_names: Names of all files of the archive: what they share is not the symbol.
    """
    head = read_head(files[0].path, override.encoding if override else None)
    if isinstance(head, NotUnderstood):
        return head
    try:
        return Discovery(
            files, head, override or LayoutOverride(), year, known_tickers, fellow_names
        ).layout()
    except NotSettled as open_question:
        return open_question.answer
    except CorruptFile as error:
        return NotUnderstood(f"{error.what}: {error.why}")


@dataclasses.dataclass
class Discovery:
    """One discovery.

    Attributes:
        files: Siblings.
        head: The first one's beginning.
        stated: What the user states about them.
        year: The archive's year.
        known_tickers: Tickers that the warehouse knows.
        fellow_names: Names of all files of the archive.
    """

    files: Sequence[SourceFile]
    head: Head
    stated: LayoutOverride
    year: int | None
    known_tickers: AbstractSet[str]
    fellow_names: Sequence[str]

    def layout(self) -> FileLayout:
        """The layout.

        Raises:
            NotSettled: The evidence leaves a question open.
            CorruptFile: A file that the evidence needs cannot be read to its end.
        """
        text = self._text_columns()
        find_bar_numbers(text, self.sample)
        dates = self._dates(text)
        self._refuse_several_bars_of_a_day(text)
        prices = self._prices(text, dates.formats[0])
        decimal = self.stated.decimal or self._decimal(text)
        draft = dataclasses.replace(
            self._draft(text, dates.formats[0]),
            decimal=decimal,
            volume_scale=self.stated.volume_scale or 1.0,
            other_readings=dates.refuted,
            evidence=(
                *((f"dates read so because {dates.reason}",) if dates.reason else ()),
                *text.evidence,
            ),
        )
        if _is_of_crsp(text):
            evidence = "CRSP writes a minus before the middle of bid and ask where nothing was traded"
            draft = dataclasses.replace(draft, sign_is_mark=True, evidence=(*draft.evidence, evidence))
        draft = self._with_symbols(draft, text)
        draft = self._with_price_scale(draft, prices)
        return with_bar_size(self.files, draft, self.stated, is_intraday=self._is_intraday(text))

    # --- shape

    @functools.cached_property
    def structure(self) -> Structure:
        """The shape of the lines."""
        return find_structure(self.head.lines, self.stated)

    @functools.cached_property
    def sample(self) -> Sample:
        """Rows of the files."""
        shape = self.structure
        found = take_sample(
            self.files, self.stated.encoding, shape.separator, shape.width, shape.lines_before_data
        )
        if not found.rows:
            raise NotSettled("it has a header and no rows")
        return found

    def _text_columns(self) -> TextColumns:
        shape, sample = self.structure, self.sample
        headings = (
            meaning.read_headings(shape.headings) if shape.headings else (Heading("", None),) * shape.width
        )
        return settle_text_columns(
            headings,
            sample,
            self.stated.meanings_by_place(shape.headings, shape.width),
            self.year,
            date_from_name=self.stated.date_source == "file name",
            symbol_from_name=self.stated.symbol_source == "file name" or self.stated.symbol is not None,
            is_daily=self.stated.frequency == "daily",
        )

    def _draft(self, text: TextColumns, date_format: str) -> FileLayout:
        from_name = text.place(meaning.DATE) is None
        return FileLayout(
            separator=self.structure.separator,
            columns=tuple(name or meaning.IGNORED for name in text.meanings),
            date_format=date_format,
            date_source="file name" if from_name else "column",
            headings=self.structure.headings,
            encoding=self.head.encoding,
            compression=self.head.compression,
            lines_before_data=self.structure.lines_before_data,
            symbol=self.stated.symbol,
            symbol_pattern=self.stated.symbol_pattern,
            symbol_case=self.stated.symbol_case,
        )

    # --- dates

    def _dates(self, text: TextColumns) -> DateVerdict:
        place = text.place(meaning.DATE)
        if self.stated.date_format:
            verdict = DateVerdict((self.stated.date_format,))
        elif place is None:
            texts = [date_text(file.name, self.year) for file in self.files]
            if None in texts:
                raise NotSettled(
                    "it has no date column, and its name holds no date; state `columns` in an override",
                    columns=self._first_column_as(meaning.DATE),
                )
            verdict = settle_date_format(self.files, [each for each in texts if each], None, self.year)
        else:
            cells = self.sample.filled(place)
            verdict = settle_date_format(self.files, cells, self._draft(text, ""), self.year)
        return verdict

    def _first_column_as(self, name: str) -> object:
        headings = self.structure.headings
        if headings and headings[0]:
            return {headings[0]: name}
        return [name, *[meaning.IGNORED] * (self.structure.width - 1)]

    def _refuse_several_bars_of_a_day(self, text: TextColumns) -> None:
        """Several rows of one date and nothing that tells them apart: no day bars of one symbol."""
        if self.stated.symbol_pattern is None and self.stated.symbol is not None:
            return
        if text.place(meaning.SYMBOL) is not None or self._is_intraday(text):
            return
        moments = moments_of(text, self.sample, per_day=text.place(meaning.DATE) is None)
        repeated = repeated_share(self.sample.files, moments)
        if text.has_many_securities or (repeated > 0.05 and len(moments) >= 3):
            names = [h.text for h in text.headings if h.meaning == meaning.IDENTIFIER]
            why = f"and {', '.join(names)} is no ticker" if names else "and no column is a symbol"
            raise NotSettled(
                f"{repeated:.0%} of its rows have a date that an earlier row has, {why}: it holds more "
                "than one "
                "security; state in `columns` of an override which column has the tickers",
                columns={names[0]: meaning.SYMBOL} if names else self._first_column_as(meaning.SYMBOL),
            )

    # --- prices

    def _prices(self, text: TextColumns, date_format: str) -> PriceColumns:
        securities = self._securities(text)
        prices = PriceColumns(
            text, self.sample, Series.of(securities, self._times(text, date_format)), securities
        )
        prices.settle(without_volume=self.stated.columns is not None)
        if absent := missing_columns(text.meanings, meaning.PRICES):
            raise NotSettled(
                f"no column means {', '.join(absent)}; its headings are {self.structure.headings}; state "
                "`columns` in an override"
            )
        if prices.volume_scale != 1 and self.stated.volume_scale is None:
            place = text.place(meaning.VOLUME)
            name = text.named(place) if place is not None else "volume"
            raise NotSettled(
                f"{name} says that volumes are in units of {prices.volume_scale:,.0f}, so that their "
                "last digits "
                "are lost; to take the rounded volumes all the same, state `volume_scale` in an override",
                volume_scale=int(prices.volume_scale),
            )
        return prices

    def _securities(self, text: TextColumns) -> npt.NDArray[np.int64]:
        place = text.place(meaning.SYMBOL)
        if place is None:
            return self.sample.files
        return np.unique(self.sample.columns[place], return_inverse=True)[1].astype(np.int64)

    def _times(self, text: TextColumns, date_format: str) -> npt.NDArray[np.int64]:
        """Seconds of each row in the order of time; rows whose date cannot be read come first."""
        place, time = text.place(meaning.DATE), text.place(meaning.TIME)
        if place is None:
            texts = [date_text(name, self.year) or "" for name in self.sample.names]
            days = [parse_day(each, date_format) or 0 for each in texts]
            moments = np.array(days, dtype=np.int64)[self.sample.files] * 86400
        else:
            stamps = [parse_stamp(cell, date_format) for cell in self.sample.columns[place]]
            seconds = [stamp.day * 86400 + (stamp.second or 0) if stamp else 0 for stamp in stamps]
            moments = np.array(seconds, dtype=np.int64)
        if time is not None:
            moments += np.array([parse_time(cell) or 0 for cell in self.sample.columns[time]], dtype=np.int64)
        number = text.place(meaning.BAR_NUMBER)
        if number is not None:
            moments += np.nan_to_num(self.sample.numbers(number)).astype(np.int64)
        return moments

    def _decimal(self, text: TextColumns) -> str:
        columns = self.sample.columns
        prices = [cell for name in meaning.PRICES for cell in columns[text.meanings.index(name)]]
        volume = text.place(meaning.VOLUME)
        decimal = settle_decimal(prices, columns[volume] if volume is not None else ())
        if decimal is None:
            raise NotSettled(
                "its prices can be read with a decimal comma or with a thousands comma, and nothing settles "
                "which; state `decimal` in an override",
                decimal=",",
            )
        return decimal

    def _with_price_scale(self, draft: FileLayout, prices: PriceColumns) -> FileLayout:
        if self.stated.price_scale is not None:
            return dataclasses.replace(draft, price_scale=float(self.stated.price_scale))
        close = self.sample.numbers(draft.columns.index(meaning.CLOSE), draft.decimal)
        scale, evidence = settle_scale(close, prices.securities, self._sample_symbols(draft))
        if scale == 1:
            return draft
        return dataclasses.replace(draft, price_scale=scale, evidence=(*draft.evidence, evidence))

    def _sample_symbols(self, draft: FileLayout) -> frozenset[str]:
        if draft.symbol:
            return frozenset({draft.symbol})
        if draft.symbol_source == "column":
            return frozenset(self.sample.filled(draft.columns.index(meaning.SYMBOL)))
        return frozenset(filter(None, (symbol_text(name, draft.name_rule) for name in self.sample.names)))

    # --- symbols

    def _with_symbols(self, draft: FileLayout, text: TextColumns) -> FileLayout:
        if text.place(meaning.SYMBOL) is not None and self.stated.symbol_source != "file name":
            return dataclasses.replace(draft, symbol_source="column")
        draft = dataclasses.replace(draft, symbol_source="file name")
        if draft.symbol or draft.symbol_pattern:
            return draft
        names = [file.name for file in self.files]
        rule = self._rule_of_fellows(names) or find_name_rule(names, self.known_tickers)
        if rule is None:
            raise self._no_symbol(names, "nothing in its name looks like one")
        found = [symbol_text(name, rule) for name in names]
        strange = [name for name, symbol in zip(names, found, strict=True) if not _can_be_ticker(symbol)]
        if len(strange) > 0.5 * len(names):
            of_name = symbol_text(strange[0], rule)
            raise self._no_symbol(
                names, f"{of_name!r} from its name is none" if of_name else "its name has none"
            )
        return dataclasses.replace(draft, name_rule=rule)

    def _rule_of_fellows(self, names: Sequence[str]) -> NameRule | None:
        """For one file alone: the rule of the files beside it, where it has a symbol under that."""
        folder = names[0].rpartition("/")[0]
        fellows = [name for name in self.fellow_names if name.rpartition("/")[0] == folder]
        if len(names) > 1 or len(fellows) < 2:
            return None
        rule = find_name_rule(fellows, self.known_tickers)
        return rule if rule and _can_be_ticker(symbol_text(names[0], rule)) else None

    def _no_symbol(self, names: Sequence[str], why: str) -> NotSettled:
        text = f"it has no symbol column, and its name is no symbol: {why}; state"
        if len(names) == 1:
            return NotSettled(f"{text} `symbol` in an override", symbol=PLACEHOLDER)
        return NotSettled(f"{text} `symbol_pattern` in an override", symbol_pattern="([A-Z.]+)[^/]*$")

    # --- time

    def _is_intraday(self, text: TextColumns) -> bool:
        if self.stated.bar_size:
            return self.stated.bar_size == "intraday"
        if text.place(meaning.BAR_NUMBER) is not None:
            return True
        seconds = self._seconds_of_sample(text)
        if len(set(seconds)) < 3:
            return False
        per_day = text.place(meaning.DATE) is None
        days = self._days_of_sample(text)
        securities = self._securities(text)
        if per_day:
            return repeated_share(securities, self.sample.files) > 0.2
        return repeated_share(securities, days) > 0.2 or len(set(days.tolist())) < 3

    def _seconds_of_sample(self, text: TextColumns) -> list[int]:
        time, date = text.place(meaning.TIME), text.place(meaning.DATE)
        if time is not None:
            return [second for cell in self.sample.columns[time] if (second := parse_time(cell)) is not None]
        stamps = map(first_stamp, self.sample.columns[date]) if date is not None else ()
        return [stamp.second for stamp in stamps if stamp and stamp.second is not None]

    def _days_of_sample(self, text: TextColumns) -> npt.NDArray[np.int64]:
        place = text.place(meaning.DATE)
        if place is None:
            return self.sample.files
        days = [stamp.day if stamp else 0 for stamp in map(first_stamp, self.sample.columns[place])]
        return np.array(days, dtype=np.int64)


def _is_of_crsp(text: TextColumns) -> bool:
    keys = {meaning.heading_key(heading.text) for heading in text.headings}
    return bool(keys & {"prc", "altprc"}) and bool(keys & {"permno", "permco", "cfacpr", "shrout", "bidlo"})


def _can_be_ticker(symbol: str | None) -> bool:
    """Whether a text is a ticker, or becomes one when what its archive's symbols share is taken off."""
    return symbol is not None and is_ticker_like(re.split(r"[.:]", symbol)[0])
