"""A bucket of one test, with what the download tests do to it."""

from __future__ import annotations

import dataclasses
import gzip
import random

from flatfiles_assets.download.connection import S3Connection
from flatfiles_assets.download.retries import RetryPolicy
from flatfiles_assets_tests.s3_servers import S3Server

SECRET = "do-not-show-this-secret"
QUICK = RetryPolicy(max_retries=3, first_delay_seconds=0.005, max_delay_seconds=0.02, jitter_seconds=0.0)


@dataclasses.dataclass
class Bucket:
    server: S3Server
    name: str

    @property
    def connection(self) -> S3Connection:
        return self.at(self.server.endpoint_url)

    def at(self, endpoint_url: str) -> S3Connection:
        return S3Connection(endpoint_url, self.server.access_key_id, SECRET)

    @property
    def credentials(self) -> dict[str, str]:
        return {"access_key_id": self.server.access_key_id, "secret_access_key": SECRET}

    def put(self, key: str, body: bytes) -> bytes:
        self.server.client().put_object(Bucket=self.name, Key=key, Body=body)
        return body

    def put_in_parts(self, key: str, body: bytes) -> bytes:
        """Upload in two parts, which makes the ETag something else than an MD5."""
        client = self.server.client()
        upload = client.create_multipart_upload(Bucket=self.name, Key=key)["UploadId"]
        half = 5 * 1024 * 1024
        parts = []
        for number, data in enumerate((body[:half], body[half:]), 1):
            part = client.upload_part(
                Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=data
            )
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        client.complete_multipart_upload(
            Bucket=self.name, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
        )
        return body

    def delete(self, key: str) -> None:
        self.server.client().delete_object(Bucket=self.name, Key=key)


def csv_gz(seed: int, rows: int = 200) -> bytes:
    """A small compressed file, different for each seed."""
    numbers = random.Random(seed)
    text = "ticker,volume\n" + "".join(f"T{i},{numbers.random()}\n" for i in range(rows))
    return gzip.compress(text.encode(), mtime=0)


def noise(size_bytes: int, seed: int = 1) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size_bytes)
