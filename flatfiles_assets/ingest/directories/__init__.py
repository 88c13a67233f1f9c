"""The directories of the user's bucket: files of any table, unified."""

from flatfiles_assets.ingest.directories.directories import read_directory

__all__ = ["read_directory"]
