"""The Dagster graph, one module a layer, each asset a few lines over the core."""

import warnings

import dagster as dg

# Backfill policies and partition mappings are in beta; the dependency's bounds answer for that.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
