"""Bytes to typed Arrow tables: decoding, quality rules, layout discovery. No network, no Dagster."""
