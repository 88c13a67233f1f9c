"""Files of any container to plain tables: archives, spreadsheets, JSON, Parquet, fixed width, text."""
