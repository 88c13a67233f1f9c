"""ZIPs that must not be extracted, built byte by byte where `zipfile` would not write them.

Here: the corpus. Not here: what must happen to each (`test_archives`).
"""

from __future__ import annotations

import bz2
import dataclasses
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable

CORPUS: dict[str, Callable[[], bytes]] = {}
"""Every hostile or broken archive, by what is wrong with it."""

Builder = Callable[[], bytes]


def _add(title: str) -> Callable[[Builder], Builder]:
    def register(build: Builder) -> Builder:
        CORPUS[title] = build
        return build

    return register


@dataclasses.dataclass
class Entry:
    """One member as it is written, right or wrong; fields that are None are filled in truthfully."""

    name: bytes
    data: bytes = b"Date,Close\n2008-01-02,1.5\n"
    local_name: bytes | None = None
    method: int = zipfile.ZIP_STORED
    packed: bytes | None = None
    declared_size: int | None = None
    crc: int | None = None
    flags: int = 0x800
    local_flags: int | None = None
    external_attributes: int = 0
    header_offset: int | None = None


def zip_of(*entries: Entry) -> bytes:
    """A ZIP file of entries that are written exactly as they say."""
    body, directory = bytearray(), bytearray()
    for entry in entries:
        packed = entry.data if entry.packed is None else entry.packed
        size = len(entry.data) if entry.declared_size is None else entry.declared_size
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        local_name = entry.name if entry.local_name is None else entry.local_name
        local_flags = entry.flags if entry.local_flags is None else entry.local_flags
        offset = len(body) if entry.header_offset is None else entry.header_offset
        if entry.header_offset is None:
            body += struct.pack(
                "<4s5H3L2H", b"PK\x03\x04", 20, local_flags, entry.method, 0, 0x21, crc, len(packed), size,
                len(local_name), 0,
            ) + local_name + packed  # fmt: skip
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 0x0314, 20, entry.flags, entry.method, 0, 0x21, crc, len(packed),
            size, len(entry.name), 0, 0, 0, 0, entry.external_attributes, offset,
        ) + entry.name  # fmt: skip
    end = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, len(entries), len(entries), len(directory), len(body), 0
    )
    return bytes(body + directory + end)


def deflated(name: bytes, data: bytes, **wrong: int) -> Entry:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    return Entry(name, data, method=zipfile.ZIP_DEFLATED, packed=packed, **wrong)


def plain_zip(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An ordinary ZIP."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


GOOD = Entry(b"good.csv")

NAMES = {
    "parent folder": b"../evil.csv",
    "parent folder inside": b"a/../../evil.csv",
    "only dots": b"..",
    "absolute": b"/tmp/evil.csv",
    "double slash": b"//evil.csv",
    "drive letter": b"C:/evil.csv",
    "drive letter without slash": b"c:evil.csv",
    "backslashes": b"..\\evil.csv",
    "network share": b"\\\\server\\share\\evil.csv",
    "empty part": b"a//evil.csv",
    "dot part": b"./evil.csv",
    "empty name": b"",
    "absolute folder": b"/",
    "NUL in the name": b"good.txt\x00.csv",
    "line feed in the name": b"a\nb.csv",
    "escape sequence in the name": b"\x1b[31m.csv",
    "C1 control in the name": "a\x85b.csv".encode(),
    "trailing dot": b"evil./a.csv",
    "trailing space": b"evil.csv ",
    "part too long": b"x" * 256 + b".csv",
    "name too long": b"/".join([b"x" * 200] * 6),
    "name of our manifest": b".manifest.json",
    "manifest in capitals": b".MANIFEST.JSON",
    "no UTF-8 despite the flag": b"\xff\xfe.csv",
}
for _title, _name in NAMES.items():
    _add(f"name: {_title}")(lambda name=_name: zip_of(GOOD, Entry(name)))

COLLISIONS = {
    "case": [b"AAPL.csv", b"aapl.csv"],
    "case beyond ASCII": [b"STRASSE.csv", "straße.csv".encode()],
    "composition of accents": ["caf\u00e9.csv".encode(), "cafe\u0301.csv".encode()],
    "case of folders": [b"Data/a.csv", b"data/b.csv"],
    "the same name twice": [b"a.csv", b"a.csv"],
    "a file that is a folder": [b"a", b"a/b.csv"],
    "a folder that is a file": [b"a/b.csv", b"A"],
}
for _title, _names in COLLISIONS.items():
    _add(f"collision: {_title}")(lambda names=_names: zip_of(*map(Entry, names)))

for _title, _kind in {
    "symbolic link": stat.S_IFLNK,
    "pipe": stat.S_IFIFO,
    "character device": stat.S_IFCHR,
    "block device": stat.S_IFBLK,
    "socket": stat.S_IFSOCK,
}.items():
    _add(f"kind: {_title}")(
        lambda kind=_kind: zip_of(
            GOOD, Entry(b"evil", b"/etc/passwd", external_attributes=(kind | 0o777) << 16)
        )
    )


@_add("kind: link to a folder, then a file through it")
def _through_a_link() -> bytes:
    link = Entry(b"out", b"..", external_attributes=(stat.S_IFLNK | 0o777) << 16)
    return zip_of(link, Entry(b"out/evil.csv"))


@_add("kind: reparse point of Windows")
def _reparse_point() -> bytes:
    return zip_of(Entry(b"evil", b"..", external_attributes=0x400))


@_add("kind: folder with contents")
def _folder_with_contents() -> bytes:
    return zip_of(Entry(b"folder/"))


@_add("encrypted")
def _encrypted() -> bytes:
    return zip_of(GOOD, Entry(b"secret.csv", flags=0x801))


@_add("encrypted according to the local header only")
def _encrypted_locally() -> bytes:
    return zip_of(Entry(b"secret.csv", local_flags=0x801))


@_add("patched data")
def _patched() -> bytes:
    return zip_of(Entry(b"a.csv", flags=0x820))


@_add("unknown compression method")
def _unknown_method() -> bytes:
    return zip_of(Entry(b"a.csv", method=99))


@_add("two names for one member")
def _two_names() -> bytes:
    return zip_of(Entry(b"good.csv", local_name=b"evil.csv"))


@_add("overlap: two members are one")
def _shared_member() -> bytes:
    return zip_of(Entry(b"a.csv"), Entry(b"a.csv", header_offset=0))


@_add("overlap: a thousand names for one kernel")
def _overlapping_bomb() -> bytes:
    kernel = deflated(b"0.csv", bytes(200_000))
    others = [dataclasses.replace(kernel, name=b"%d.csv" % i, header_offset=0) for i in range(1, 1_000)]
    return zip_of(kernel, *others)


@_add("overlap: local headers quoted in stored blocks")
def _quoted_overlap() -> bytes:
    """Each member's data begins with a stored block that quotes the next member's local header."""
    kernel = deflated(b"b.csv", bytes(5_000))
    assert kernel.packed is not None
    inner = zip_of(kernel)[: 30 + 5 + len(kernel.packed)]
    quote = inner[: 30 + 5]
    packed = b"\x00" + struct.pack("<HH", len(quote), len(quote) ^ 0xFFFF) + quote + kernel.packed
    outer = Entry(b"a.csv", quote + kernel.data, method=zipfile.ZIP_DEFLATED, packed=packed)
    return zip_of(outer, dataclasses.replace(kernel, header_offset=30 + 5 + 5))


@_add("data reaches into the table of contents")
def _too_long() -> bytes:
    good = zip_of(Entry(b"a.csv", b"x" * 100))
    return good.replace(struct.pack("<2L", 100, 100), struct.pack("<2L", 160, 160))


@_add("bomb: ten thousand to one")
def _bomb() -> bytes:
    data = bytes(20_000_000)
    return zip_of(GOOD, Entry(b"bomb.csv", data, method=zipfile.ZIP_BZIP2, packed=bz2.compress(data)))


@_add("bomb: deflate at its best")
def _deflate_bomb() -> bytes:
    return zip_of(deflated(b"bomb.csv", bytes(20_000_000)))


@_add("bomb: declares ten bytes")
def _lying_bomb() -> bytes:
    return zip_of(deflated(b"bomb.csv", bytes(20_000_000), declared_size=10))


@_add("bomb: declares ten bytes and their checksum")
def _lying_bomb_with_checksum() -> bytes:
    return zip_of(deflated(b"bomb.csv", bytes(20_000_000), declared_size=10, crc=zlib.crc32(bytes(10))))


@_add("bomb: many small members")
def _many_small() -> bytes:
    return zip_of(*(deflated(b"%d.csv" % i, bytes(900_000)) for i in range(30)))


@_add("bomb: within a nested archive")
def _nested_bomb() -> bytes:
    return plain_zip({"inner.zip": zip_of(deflated(b"bomb.csv", bytes(20_000_000)))})


@_add("size: declares less than it holds")
def _declares_less() -> bytes:
    return zip_of(deflated(b"a.csv", b"abc" * 50, declared_size=100))


@_add("size: declares less than it holds, and the checksum of that")
def _declares_less_with_checksum() -> bytes:
    data = b"abc" * 50
    return zip_of(deflated(b"a.csv", data, declared_size=100, crc=zlib.crc32(data[:100])))


@_add("size: declares more than it holds")
def _declares_more() -> bytes:
    return zip_of(deflated(b"a.csv", b"abc" * 50, declared_size=1_000))


@_add("nested: three deep")
def _three_deep() -> bytes:
    return plain_zip({"a.zip": plain_zip({"b.zip": plain_zip({"c.csv": b"1"})})})


@_add("nested: leaves the target")
def _nested_traversal() -> bytes:
    return plain_zip({"a.zip": zip_of(Entry(b"../../evil.csv"))})


@_add("nested: collides with a folder's member")
def _nested_collision() -> bytes:
    return plain_zip({"a/B.csv": b"1", "a.zip": plain_zip({"b.csv": b"2"})})


@_add("nested: collides with a file")
def _nested_file_collision() -> bytes:
    return plain_zip({"a": b"1", "a.zip": plain_zip({"b.csv": b"2"})})


@_add("nested: is no ZIP")
def _nested_no_zip() -> bytes:
    return plain_zip({"a.zip": b"this is no archive"})


@_add("damage: wrong checksum")
def _wrong_checksum() -> bytes:
    return zip_of(GOOD, Entry(b"a.csv", crc=1))


@_add("damage: wrong checksum of compressed data")
def _wrong_deflated_checksum() -> bytes:
    return zip_of(GOOD, deflated(b"a.csv", b"Date,Close\n" * 500, crc=1))


@_add("damage: flipped byte in compressed data")
def _flipped() -> bytes:
    data = bytearray(zip_of(deflated(b"a.csv", b"Date,Close\n" * 500)))
    data[45] ^= 0xFF
    return bytes(data)


@_add("damage: no table of contents")
def _no_directory() -> bytes:
    whole = zip_of(*(Entry(b"%d.csv" % i) for i in range(20)))
    return whole[: whole.index(b"PK\x01\x02")]


@_add("damage: table of contents cut")
def _cut_directory() -> bytes:
    return zip_of(*(Entry(b"%d.csv" % i) for i in range(20)))[:-40]


@_add("damage: beginning cut")
def _cut_beginning() -> bytes:
    return zip_of(*(Entry(b"%d.csv" % i) for i in range(20)))[25:]


@_add("damage: empty file")
def _empty() -> bytes:
    return b""


@_add("damage: not a ZIP at all")
def _not_a_zip() -> bytes:
    return b"<html>404 Not Found</html>" * 100
