"""Every part of Dagster that we use and that Dagster does not promise to keep.

Here: the only imports of `dagster._…` in the package, each with the reason why the public interface
does not do, and the little code that reaches into private attributes. Not here: what is done with them
(`instance/`, `io_manager.py`, `checks/`, `sensors/`). `pyproject.toml` holds Dagster's minor version for
their sake, and `test_dagster_internals.py` fails by name when one of them has changed.
"""
