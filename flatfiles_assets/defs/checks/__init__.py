"""Asset checks: whether what was stored can be trusted, said with numbers and the names of the bad days.

`evidence` asks the warehouse, `price_evidence` compares prices across tables, `verdicts` judges what
they found (neither knows Dagster), and `feed_checks` makes Dagster's checks of them, generated from
the registry. Not here: the rules for single rows, which decide before anything is stored
(`ingest/quality.py`).
"""
