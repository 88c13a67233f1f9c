"""Arrow to DuckDB and back: tables, connections and locks, the IO manager."""
