"""S3 to bytes on disk: keys, transfers, the local mirror and its ledger. No parsing, no Dagster."""
