"""The shipped Dagster instance: dagster.yaml and the batching event log."""
