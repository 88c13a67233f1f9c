"""Everything that knows Dagster: assets, checks, sensors, schedules, resources, instance.

Here: one module per Dagster noun, each a thin edge over the rooms below. Not here: what an asset
computes (`algorithms/`, `ingest/`, `warehouse/`), and how it is all put together
(`definitions.py`).
"""
