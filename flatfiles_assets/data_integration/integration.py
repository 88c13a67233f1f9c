"""`DataIntegration`: the researcher's way from symbols and dates to data.

Here: the class, with a module a kind of request. Not here: how each part of an answer is made (the
neighbours in this package), features (`features.py`, `algorithms/`), and Dagster, which only
`availability` calls, and only when something is missing.
"""

from __future__ import annotations

from flatfiles_assets.data_integration.algorithm_requests import AlgorithmRequests
from flatfiles_assets.data_integration.bar_requests import BarRequests
from flatfiles_assets.data_integration.option_requests import OptionRequests
from flatfiles_assets.data_integration.price_requests import PriceRequests
from flatfiles_assets.data_integration.universe_requests import UniverseRequests


class DataIntegration(AlgorithmRequests, PriceRequests, BarRequests, OptionRequests, UniverseRequests):
    """Algorithm-ready data from the warehouse, by symbols and dates.

    Sessions that the warehouse lacks are fetched and loaded first, through Dagster, unless a call
    says ``ensure=False``. Results are cached on disk, by the content of what they were made from.

    Args:
        warehouse: The DuckDB file, or a `Warehouse`; None for the one in the settings.
        settings: None for the environment and ``.env``.
        cache_dir: Where results are kept; None for the settings' data directory.
        cache_bytes: Size of the cache above which the results unused for longest are removed; 0 for
            no cache.
        warehouse_as_of: Read the warehouse as it was then, and fetch nothing: a moment
            (``"2026-03-01 12:00"``, UTC unless it says its zone, or a datetime), the number of a state
            (`metadata["warehouse_state"]` of a result), or the id of a run. It is about what *we* had
            stored; `as_of` of a call is about what *the market* knew, and both can be given.

    Raises:
        InvalidArgument: `warehouse_as_of` names no moment.

    Example:
        >>> data = DataIntegration().get_data_for_algorithm(
        ...     "momentum", ["AAPL", "MSFT"], "2024-01-02", "2024-03-28"
        ... )
        >>> data["returns_data"].tail()
    """
