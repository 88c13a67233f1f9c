"""What a user states about files of option quotes.

Here: the table ``options`` of an entry in the override file, and its valid values.

```toml
[[files]]
match = "options/yahoo/*.csv"
options = { quote_date = "2024-01-12", underlying = "AAPL" }

[[files]]
match = "options/vendor/*.csv"
options = { strike_scale = 0.001, columns = { px_bid = "bid", px_ask = "ask" } }
```
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from flatfiles_assets.ingest.options.headings import MEANINGS

#: For the message of whoever refuses a value.
EXPECTED = (
    "a table with any of quote_date = a day, underlying = a symbol, strike_scale = a number above 0, columns"
    f" = a table of column names to {', '.join(MEANINGS)}"
)


@dataclasses.dataclass(frozen=True)
class OptionsOverride:
    """What is stated; None or nothing is left to the evidence.

    Attributes:
        quote_date: The day of all quotes.
        underlying: Of all quotes.
        strike_scale: What a strike is multiplied with to be in dollars.
        columns: Meanings by the column's name in snake case.
    """

    quote_date: dt.date | None = None
    underlying: str | None = None
    strike_scale: float | None = None
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)


def options_override(value: Any) -> OptionsOverride | None:
    """What a table in the override file states; None where it is not valid."""
    if not isinstance(value, dict) or not value.keys() <= {
        f.name for f in dataclasses.fields(OptionsOverride)
    }:
        return None
    day, underlying = value.get("quote_date"), value.get("underlying")
    scale, columns = value.get("strike_scale"), value.get("columns", {})
    if isinstance(day, str):
        try:
            day = dt.date.fromisoformat(day)
        except ValueError:
            return None
    is_valid = (
        (day is None or type(day) is dt.date)
        and (underlying is None or (isinstance(underlying, str) and bool(underlying.strip())))
        and (scale is None or (isinstance(scale, (int, float)) and not isinstance(scale, bool) and scale > 0))
        and isinstance(columns, dict)
        and all(isinstance(name, str) and meaning in MEANINGS for name, meaning in columns.items())
    )
    return OptionsOverride(day, underlying, scale, columns) if is_valid else None
