"""Must what arrived be what the store holds? Length, ETag, HEAD, and what two transfers agree on.

Here: `Proof`. Not here: digests (`integrity.py`) and what an ETag of a store means (`etags.py`).
"""

from __future__ import annotations

import dataclasses

from flatfiles_assets.download.etags import Agreement, EtagNotes, etags_of
from flatfiles_assets.download.faults import changed, damaged, incomplete, location, no_object
from flatfiles_assets.download.integrity import Digest, is_md5
from flatfiles_assets.download.listing import RemoteObject
from flatfiles_assets.download.pace import UNKNOWN_SIZE
from flatfiles_assets.download.requests import BucketRequests
from flatfiles_assets.download.verified_files import GzipJudge


@dataclasses.dataclass(frozen=True)
class Judge:
    """What judges one object over all attempts at it.

    Attributes:
        gzip: What its name promises.
        agreement: What its transfers brought.
    """

    gzip: GzipJudge
    agreement: Agreement

    @property
    def check_gzip(self) -> bool:
        """Whether bytes have to be checked for gzip."""
        return self.gzip.check_gzip


class Proof:
    """Decides about the objects of one bucket.

    Args:
        requests: What the bucket is asked through.
        notes: What earlier processes found out about the store's ETags, and where it is kept.
    """

    def __init__(self, requests: BucketRequests, notes: EtagNotes | None = None) -> None:
        self._requests = requests
        self._etags = etags_of(*requests.identity)
        self._notes = notes
        self._is_noted = bool(notes and notes.has_other_etags(*requests.identity))
        if self._is_noted:
            self._etags.recall()

    async def settle(self, digest: Digest, remote: RemoteObject, judge: Judge) -> RemoteObject:
        """Raise unless the bytes are proven, or at least nothing speaks against them.

        Returns:
            The object, with its length where the answer did not say it.

        Raises:
            CorruptFile: The object itself is broken.
            DownloadError: What arrived is not the object, or may not be.
        """
        where = location(self._requests.bucket, remote.key)
        if remote.size_bytes not in (digest.size_bytes, UNKNOWN_SIZE):
            raise incomplete(where, remote.size_bytes, digest.size_bytes)
        proven = digest.md5 == remote.etag
        if proven:
            self._etags.matched()
            await self._keep_notes()
        else:
            await self._explain_etag(digest, remote, judge, where)
            await self._confirm_size(digest, remote, judge, where)
        judge.gzip.judge(digest, etag=remote.etag, proven=proven, where=where)
        return dataclasses.replace(remote, size_bytes=digest.size_bytes)

    async def _keep_notes(self) -> None:
        """Have the next process know it, where this one has found out something else than was noted."""
        if self._notes is None or self._is_noted == self._etags.are_no_md5:
            return
        self._is_noted = self._etags.are_no_md5
        change = self._notes.note_other_etags if self._is_noted else self._notes.forget_other_etags
        await self._requests.in_thread(lambda: change(*self._requests.identity))

    async def _explain_etag(self, digest: Digest, remote: RemoteObject, judge: Judge, where: str) -> None:
        """Decide whether bytes of which the ETag is no MD5 are damaged, or it is none of any bytes."""
        differs = is_md5(remote.etag) and not self._etags.are_no_md5
        if differs and await self._requests.in_thread(lambda: self._requests.etag_is_encrypted(remote.key)):
            differs = False
        unlike = damaged(where, f"MD5 {digest.md5} where the ETag is {remote.etag}")
        if differs and not judge.agreement.is_second(remote.etag, digest):
            raise unlike
        # All answers may be of one part, or of a copy that was compressed on the way, and alike each time;
        # a listing counts what is stored.
        await self._confirm_by_listing(digest, remote, where)
        if differs and not self._etags.differed_twice():
            raise unlike
        await self._keep_notes()

    async def _confirm_by_listing(self, digest: Digest, remote: RemoteObject, where: str) -> None:
        """Compare with the listing, where no MD5 speaks for what arrived."""
        listed = await self._requests.in_thread(lambda: self._requests.listed(remote.key))
        if listed and listed.size_bytes != digest.size_bytes:
            raise incomplete(where, listed.size_bytes, digest.size_bytes)
        if listed is None and remote.etag is None and not digest.size_bytes:
            raise no_object(where)

    async def _confirm_size(self, digest: Digest, remote: RemoteObject, judge: Judge, where: str) -> None:
        """Compare with HEAD, where no checksum can tell a short body with a rewritten length."""
        # Without a slot: the caller may hold the last one.
        head = await self._requests.head(remote.key)
        if head.etag != remote.etag:
            raise changed(where)
        if head.size_bytes == UNKNOWN_SIZE:
            if remote.size_bytes == UNKNOWN_SIZE and not judge.agreement.is_second(remote.etag, digest):
                raise damaged(where, "the store does not say how long the object is")
        elif head.size_bytes != digest.size_bytes:
            raise incomplete(where, head.size_bytes, digest.size_bytes)
