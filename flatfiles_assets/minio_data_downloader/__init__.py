"""The user's own bucket on disk: yearly ZIPs, directories, integrity. The scripter's door.

`MinIODataDownloader` from Python, ``python -m flatfiles_assets.minio_data_downloader`` or
``flatfiles minio`` from a shell. Not here: how bytes travel (`download/`), how a ZIP is opened and
its files understood (`ingest/`), Dagster.
"""

from flatfiles_assets.minio_data_downloader.bucket_contents import DIRECTORIES, AmbiguousYear
from flatfiles_assets.minio_data_downloader.downloader import MinIODataDownloader, NotDownloaded
from flatfiles_assets.minio_data_downloader.sync import SyncFailed, SyncReport

__all__ = [
    "DIRECTORIES",
    "AmbiguousYear",
    "MinIODataDownloader",
    "NotDownloaded",
    "SyncFailed",
    "SyncReport",
]
