"""What there is of each symbol in a range."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flatfiles_assets.algorithms.frames import SYMBOL
from flatfiles_assets.algorithms.panel import PricePanel


def coverage_of(panel: PricePanel) -> pd.DataFrame:
    """Bars of each symbol of a panel.

    Returns:
        By symbol: ``bars``, ``sessions`` (of the exchange in the range), ``coverage`` (0 to 1),
        ``first_session``, ``last_session`` (NaT without a bar).
    """
    has_bar, days = panel.has_bar, panel.sessions.astype("datetime64[ns]")
    any_bar, bars = has_bar.any(axis=0), has_bar.sum(axis=0)
    never = np.datetime64("NaT")
    return pd.DataFrame(
        {
            "bars": bars,
            "sessions": len(days),
            "coverage": bars / len(days),
            "first_session": np.where(any_bar, days[has_bar.argmax(axis=0)], never),
            "last_session": np.where(any_bar, days[len(days) - 1 - has_bar[::-1].argmax(axis=0)], never),
        },
        index=pd.Index(panel.symbols, name=SYMBOL),
    )
