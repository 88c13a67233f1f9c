"""Text of others, made safe for the place where it goes: one function per place.

Here: tickers, names, cells, messages of stores and of DuckDB, as a terminal, Markdown, HTML, a picture and
SQL may have them. Not here: what Rich draws (`console.py`), and which tickers are refused at the door
(`ingest/row_rules.py`).

Each function returns text that shows as the text it was given, and does nothing else: no markup, no
picture, no link, no command to a terminal.
"""

from __future__ import annotations

import html as _html
import re
import threading
from urllib.parse import quote

# Everywhere; at the start, what opens a list, a heading's underline or a definition; `_` at a word's end.
_MARKDOWN = re.compile(r"[\\`*{}\[\]<>&!|~$#^@]|^[-+=:]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_NUMBER_OF_A_LIST = re.compile(r"^(\d+)([.)])(?=\s|$)")
# What makes a renderer turn plain text into a link after it has undone every escape.
_BEFORE_LINK = re.compile(r"://|www(?=\.)|@|mailto(?=:)|xmpp(?=:)", re.IGNORECASE)
_WORD_JOINER = "\u2060"
_SPACES_THAT_COLLAPSE = re.compile(r"^ | $|(?<= ) ")
_WIDE_SPACES = "\u00a0\u2009\u202f"


def printable(text: object) -> str:
    r"""Text on one line that a terminal shows and does not obey.

    Control characters, marks that reorder or hide text, line breaks and lone surrogates are written as
    Python writes them: ``\x1b``, ``\u202e``.
    """
    as_text = str(text)
    return as_text if as_text.isprintable() else "".join(map(_shown, as_text))


def printable_lines(text: object) -> str:
    """As `printable`, for text that may have several lines: breaks and tabs stay."""
    as_text = str(text)
    if as_text.isprintable():
        return as_text
    return "".join(
        character if character in "\n\t" else _shown(character) for character in as_text.replace("\r\n", "\n")
    )


def _shown(character: str) -> str:
    if character.isprintable() or character in _WIDE_SPACES:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def markdown(text: object) -> str:
    """Text on one line for Markdown, anywhere in it: in a paragraph, a list, a cell of a table.

    Punctuation that could be markup becomes character references, which mean the character. What
    renderers would turn into a link of their own accord gets an invisible mark that keeps it text.
    """
    shown = _BEFORE_LINK.sub(lambda match: _unlinked(match[0]), printable(text))
    shown = _MARKDOWN.sub(lambda match: _reference(match[0]), shown)
    shown = _NUMBER_OF_A_LIST.sub(lambda match: match[1] + _reference(match[2]), shown)
    # At the ends of a line and in a row, spaces are layout; four of them are a block of code.
    return _SPACES_THAT_COLLAPSE.sub("&#32;", shown)


def markdown_lines(text: object) -> str:
    """As `markdown`, for text that may have several lines."""
    return "  \n".join(map(markdown, printable_lines(text).replace("\t", " ").splitlines()))


def from_markdown(text: str) -> str:
    """The text that `markdown` or `markdown_lines` was given, as it shows."""
    return _html.unescape(text).replace(_WORD_JOINER, "").replace("  \n", "\n")


def _reference(character: str) -> str:
    return f"&#{ord(character)};"


def _unlinked(start: str) -> str:
    return f"{start[0]}{_WORD_JOINER}{start[1:]}" if start == "://" else f"{start}{_WORD_JOINER}"


def html(text: object) -> str:
    """Text for HTML, as content and as an attribute in quotes."""
    return _html.escape(printable(text), quote=True)


_LONGEST_LABEL = 40


def plot_label(text: object) -> str:
    """Text for matplotlib, which takes what stands between dollar signs for a formula; shortened."""
    shown = printable(text)
    if len(shown) > _LONGEST_LABEL:
        shown = shown[: _LONGEST_LABEL - 1] + "…"
    return shown.replace("$", r"\$")


def quoted(name: str) -> str:
    """A name for SQL, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text for SQL, where no parameter can stand."""
    return "'" + text.replace("'", "''") + "'"


# --- credentials

_MASK = "…"
_SHORTEST_SECRET = 6
_IN_A_STORES_WORDS = (
    # Elements of S3's error bodies that repeat what was signed and by whom.
    re.compile(
        r"(<(AWSAccessKeyId|StringToSign\w*|SignatureProvided|CanonicalRequest\w*|X-Amz-[\w-]+|Token-0)>).*?(</\2>|$)",
        re.DOTALL | re.IGNORECASE,
    ),
    # Presigned and signed requests, headers and query strings.
    re.compile(
        r"((?:x-amz-(?:credential|signature|security-token)|signature|credential|awsaccesskeyid|api_?key|"
        r"access_?key(?:_?id)?|secret(?:_?access)?_?key|password|session_?token)[\"']?\s*[=:]\s*[\"']?)"
        r"[^\s&\"'<>,;]+()",
        re.IGNORECASE,
    ),
    re.compile(
        r"((?:authorization[\"']?\s*[=:]\s*[\"']?)?(?:bearer|basic)\s+)[\w.~+/=-]{6,}()", re.IGNORECASE
    ),
    re.compile(r"(AWS4-HMAC-SHA256\s).*?(?=$|[\n<>\"'])()", re.IGNORECASE),
    re.compile(r"(\bAWS\s)[A-Z0-9]{12,}:\S+()"),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+:[^\s/@]+(@)", re.IGNORECASE),
    re.compile(r"()\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b()"),
)
_known: set[str] = set()
_lock = threading.Lock()


def keep_secret(value: str) -> None:
    """Have a value masked in every error from now on, as it is and as URLs write it.

    Very short values would mask parts of words and are left alone.
    """
    if len(value) >= _SHORTEST_SECRET:
        with _lock:
            _known.update({value, quote(value, safe="")})


def without_credentials(text: str) -> str:
    """Text without anything that this process keeps secret, or that reads like a credential."""
    for secret in sorted(_known, key=len, reverse=True):
        if secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _MASK, text)
    for pattern in _IN_A_STORES_WORDS:
        text = pattern.sub(lambda match: f"{match[1]}{_MASK}{match[match.re.groups]}", text)
    return text
