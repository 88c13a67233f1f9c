"""The Dagster graph, one module a layer, each asset a few lines over the core."""
