"""Text of others shows as what it is, wherever it goes, and does nothing there."""

from __future__ import annotations

import html.parser
import pickle

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from flatfiles_assets import escaping
from flatfiles_assets.errors import FlatFilesError
from flatfiles_assets.escaping import (
    literal,
    markdown,
    printable,
    printable_lines,
    quoted,
    without_credentials,
)

ANY = st.text(max_size=60)
# What a hostile writer would try first.
PIECES = (
    "![t](", "/graphql?query=mutation%7B", ")", "|", "\n", "`", "<img src=x onerror=y>", "[a](b)", "[x]: /y",
    "&amp;", "&#33;", "\\", "*", "_", "~~", "# ", "- ", "1. ", "    ", "https://x.example/", "www.x.example",
    "a@b.example", "AAPL", "\x1b[31m", "\u202e", "$", "---", "===", "<!--", "]]>", "\r", "\t",
)  # fmt: skip
HOSTILE = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
TEXT = ANY | HOSTILE
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def _inline(source: str) -> list:
    return [child for token in RENDERER.parse(source) if token.type == "inline" for child in token.children]


@given(TEXT)
def test_in_a_cell_of_markdown_any_text_is_that_text_and_one_cell(text):
    names, cells = _inline(f"| a | b |\n|---|---|\n| x{markdown(text)}x | end |")[:2], []
    cells = _inline(f"| a | b |\n|---|---|\n| x{markdown(text)}x | end |")[2:]

    assert [token.content for token in names] == ["a", "b"]
    assert {token.type for token in cells} == {"text"}
    assert [token.content.replace("\u2060", "") for token in cells] == [f"x{printable(text)}x", "end"]


@given(TEXT)
def test_as_a_paragraph_or_in_a_list_any_text_is_that_text(text):
    shown = markdown(text)
    for source, kinds in (
        (shown, {"paragraph_open", "inline", "paragraph_close"}),
        (f"- 1 file(s): {shown}", {"bullet_list_open", "list_item_open", "paragraph_open", "inline",
                                   "paragraph_close", "list_item_close", "bullet_list_close"}),
    ):  # fmt: skip
        tokens = RENDERER.parse(source)
        assert {token.type for token in tokens} <= kinds, source
        found = "".join(token.content for token in _inline(source)).replace("\u2060", "")
        assert found.endswith(printable(text))
        assert all(token.type == "text" for token in _inline(source))


@given(st.lists(TEXT, max_size=3).map("\n".join))
def test_text_comes_back_out_of_markdown_as_it_was_shown(text):
    shown = printable_lines(text)
    assert escaping.from_markdown(markdown(text)) == printable(text)
    assert escaping.from_markdown(escaping.markdown_lines(text)) == "\n".join(
        shown.replace("\t", " ").splitlines()
    )


@pytest.mark.parametrize(
    "text", ["AAPL", "BRK.B", "BACpL", "2024-01-02", "118.25", "stocks_daily", "X:BTC-USD"]
)
def test_ordinary_values_stay_legible_in_the_source(text):
    assert markdown(text) == text


@given(TEXT)
def test_what_is_printable_holds_nothing_that_a_terminal_obeys_and_stays_as_it_is_the_second_time(text):
    shown = printable(text)
    assert all(each.isprintable() or each in "\u00a0\u2009\u202f" for each in shown)
    assert printable(shown) == shown
    assert set(printable_lines(text)) - set(shown) <= {"\n", "\t"}


@given(TEXT)
def test_html_is_text_in_elements_and_attributes(text):
    found: list[tuple] = []

    class Parser(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.append((tag, *attributes))

        def handle_data(self, data):
            found.append((data,))

    parser = Parser(convert_charrefs=True)
    parser.feed(f'<p title="{escaping.html(text)}">x{escaping.html(text)}x</p>')
    parser.close()
    assert found == [("p", ("title", printable(text))), (f"x{printable(text)}x",)]


@settings(deadline=None)
@given(HOSTILE | st.text(st.characters(codec="utf-8"), max_size=60))
def test_a_name_and_a_text_come_through_sql_as_they_are(text):
    with duckdb.connect() as connection:
        if text:
            assert connection.sql(f"SELECT 1 AS {quoted(text)}").columns == [text]
        assert connection.sql(f"SELECT {literal(text)}").fetchall() == [(text,)]


@pytest.mark.parametrize(
    "said",
    [
        "<Error><AWSAccessKeyId>HIDDEN0123456789</AWSAccessKeyId></Error>",
        "<StringToSign>AWS4-HMAC-SHA256\n2024\nHIDDEN</StringToSign> rest",
        "GET /k?X-Amz-Credential=HIDDEN%2F20240101&X-Amz-Signature=HIDDENabc",
        "Authorization: AWS4-HMAC-SHA256 Credential=HIDDEN/2024/us-east-1/s3/aws4_request, Signature=HIDDEN",
        "Authorization: Bearer HIDDENHIDDEN",
        "https://user:HIDDEN@host/path",
        "the key AKIA" + "HIDDEN0123456789 is not known",
        '{"apiKey": "HIDDEN-value"}',
        "AWS HIDDEN0123456789:aBcDeF",
    ],
)
def test_what_reads_like_a_credential_is_masked(said):
    assert "HIDDEN" not in without_credentials(said)
    assert "HIDDEN" not in str(FlatFilesError("refused", why=said))


def test_a_secret_that_was_read_is_in_no_error_also_as_urls_write_it(monkeypatch):
    monkeypatch.setattr(escaping, "_known", set())
    escaping.keep_secret("pa/ss+word=1")
    escaping.keep_secret("key")
    error = FlatFilesError("pa/ss+word=1 is wrong", where="x?pa%2Fss%2Bword%3D1", why="keyed key")
    assert str(error) == "x?…: … is wrong; keyed key."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(TEXT, TEXT, TEXT)
def test_a_message_never_carries_what_a_terminal_obeys(what, where, why):
    message = str(FlatFilesError(what, where=where, why=why, next_step=what))
    assert not [each for each in message if not (each.isprintable() or each in "\n\t\u00a0\u2009\u202f")]
