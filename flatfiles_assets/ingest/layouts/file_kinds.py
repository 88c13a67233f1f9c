"""What a file that is no text is, in words, by its first bytes.

Here: names for people, so that a refusal says what the file is and what to make of it. Not here: what
can be read (`tables`).
"""

from __future__ import annotations

import re

_UNPACK = "unpack it into a ZIP or beside the others"
_SAVE = "save it as CSV or Parquet"
_MARKS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive or an Office document", ""),
    (b"PK\x05\x06", "an empty ZIP archive", ""),
    (b"\xd0\xcf\x11\xe0", "an Office document", ""),
    (b"PAR1", "a Parquet file", ""),
    (b"ARROW1", "an Arrow file (Feather)", ""),
    (b"FEA1", "a Feather file of the first version", "save it as Feather 2 or Parquet"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"MSCF", "a Cabinet archive", _UNPACK),
    (b"\x1f\x9d", "a file packed by `compress` (.Z)", "unpack it, or pack it with gzip"),
    (b"\x1f\xa0", "a file packed by `compress` (.Z)", "unpack it, or pack it with gzip"),
    (b"!<arch>", "an `ar` archive", _UNPACK),
    (b"\x89HDF\r\n", "an HDF5 file (PyTables, Matlab 7.3)", _SAVE),
    (b"MATLAB 5.0", "a Matlab file", _SAVE),
    (b"Obj\x01", "an Avro file", _SAVE),
    (b"ORC", "an ORC file", _SAVE),
    (b"SQLite format 3\x00", "an SQLite database", "export its tables as CSV"),
    (b"\x00\x01\x00\x00Standard Jet DB", "an Access database", "export its tables as CSV"),
    (b"\x00\x01\x00\x00Standard ACE DB", "an Access database", "export its tables as CSV"),
    (b"\x93NUMPY", "a NumPy array", _SAVE),
    (b"RDX2\n", "an R workspace", _SAVE),
    (b"RDX3\n", "an R workspace", _SAVE),
    (b"X\n\x00\x00\x00", "an R object (RDS)", _SAVE),
    (b"<stata_dta>", "a Stata file", _SAVE),
    (b"$FL2", "an SPSS file", _SAVE),
    (b"$FL3", "an SPSS file", _SAVE),
    (b"\xc1\x83\x2a\x9e", "a SAS file", _SAVE),
    (b"\x00" * 12 + b"\xc2\xea\x81\x60", "a SAS file", _SAVE),
    (b"DBN", "a Databento file (DBN)", "export it as CSV"),
    (b"\xff\x01", "a kdb+ file", _SAVE),
    (b"%PDF", "a PDF document", ""),
    (b"{\\rtf", "a rich text document", ""),
    (b"\x89PNG", "a picture", ""),
    (b"\xff\xd8\xff", "a picture", ""),
    (b"GIF8", "a picture", ""),
    (b"II*\x00", "a picture", ""),
    (b"MM\x00*", "a picture", ""),
    (b"\x7fELF", "a program", ""),
    (b"MZ\x90\x00", "a program for Windows", ""),
    (b"\xca\xfe\xba\xbe", "a program", ""),
)
# Thousands of texts are asked about in a row.
_BY_FIRST_BYTE = {
    mark[:1]: tuple(entry for entry in _MARKS if entry[0][:1] == mark[:1]) for mark, _, _ in _MARKS
}
# Python's pickles run code when they are read.
_PICKLE = re.compile(rb"\x80[\x02-\x05][\x95}\]ccq(]")
_MARKUP = re.compile(
    rb"\s*(?:\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|body|table|\?xml)\b", re.IGNORECASE
)


def kind_of_binary(beginning: bytes) -> str | None:
    """What a file is that begins so, and what to do with it, as a clause; None for what is not known."""
    for mark, kind, advice in _BY_FIRST_BYTE.get(beginning[:1], ()):
        # A few letters could begin a text, too: `ORC,2008-01-02`, `DBN;…`.
        if beginning.startswith(mark) and (not mark.isalnum() or len(mark) > 4 or _is_binary(beginning)):
            return f"{kind}, not text" + (f"; {advice}" if advice else "")
    if beginning[8:12] == b"DUCK" and _is_binary(beginning):
        return "a DuckDB database, not text; export its tables as CSV or Parquet"
    if beginning[:1] == b"\x80" and _PICKLE.match(beginning):
        return f"a Python pickle, not text, which is not opened because it can run code; {_SAVE}"
    if b"<" in beginning[:64] and (match := _MARKUP.match(beginning)):
        if match[1].lower().startswith(b"?xml"):
            return f"an XML document, not a table; {_SAVE}"
        return f"a web page, not a table: perhaps a store's error saved as a file, or else {_SAVE}"
    return None


def _is_binary(beginning: bytes) -> bool:
    return b"\x00" in beginning
