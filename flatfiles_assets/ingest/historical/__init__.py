"""An extracted year of files of any layout, read as bars."""
