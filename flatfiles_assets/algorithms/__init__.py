"""Prices to features: pure functions over arrays, no Dagster, no I/O."""
