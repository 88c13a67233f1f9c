"""The registry of algorithms: a new one is a module and one line here.

Here: the list. Not here: what an entry holds (`algorithm.py`), and the entries themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

from flatfiles_assets.algorithms import mean_reversion, momentum, pairs_dataset
from flatfiles_assets.algorithms.algorithm import Algorithm

ALGORITHMS: Mapping[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (pairs_dataset.ALGORITHM, momentum.ALGORITHM, mean_reversion.ALGORITHM)
}
