"""``python -m flatfiles_assets.minio_data_downloader``."""

import sys

from flatfiles_assets.minio_data_downloader.flags import main

if __name__ == "__main__":
    sys.exit(main())
