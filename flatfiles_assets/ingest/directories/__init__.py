"""The directories of the user's bucket: files of any table, unified."""
