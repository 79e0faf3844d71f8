"""The bytes of one ClickHouse request in; out, where its SQL ends, where its data starts, and which format.

The engine parses SQL itself. Its embedded interface cannot separate an INSERT's SQL from the
(possibly binary) data behind it, and name the format of its answer; that is all that is read here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.local.clickhouse.codes import refusal

TOKEN = re.compile(
    rb"""
      (?P<skip> --[^\n]* | \#[ !][^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<quoted> '(?:[^'\\]++|\\.)*+(?:'|\\?\Z) | "(?:[^"\\]++|\\.)*+(?:"|\\?\Z) | `(?:[^`\\]++|\\.)*+(?:`|\\?\Z) )
    | (?P<heredoc> \$(?P<tag>\w{0,64})\$.*?(?:\$(?P=tag)\$|\Z) )
    | (?P<word> \w+ )
    | (?P<sign> \S )
    """,
    re.VERBOSE | re.DOTALL,
)
DATA_STARTS = re.compile(rb"[ \t\f]*\r?\n?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """``sql`` is complete without ``data``, which is ``None`` for all but an INSERT with a FORMAT."""

    sql: bytes
    format: str | None
    data: bytes | memoryview | None = None
    settings_at: int | None = None
    """Where an INSERT's own SETTINGS begin in ``sql``."""


@dataclass(frozen=True, slots=True)
class _Token:
    word: bytes
    start: int
    end: int


def parse(text: bytes) -> Statement:
    """Raises ``ClickHouseError`` where the HTTP interface refuses what the embedded engine would run."""
    tokens = _outer_tokens(text)
    first = next(tokens, None)
    if first is None:
        raise refusal(62, "SYNTAX_ERROR", "Syntax error: Empty query.")
    if first.word == b"INSERT":
        return _insert(text, tokens)
    return _query(text, first, tokens)


def _insert(text: bytes, tokens: Iterator[_Token]) -> Statement:
    previous, settings_at = b"", None
    for token in tokens:
        if token.word in (b"SELECT", b"WITH", b"VALUES", b"WATCH"):
            # The engine reads VALUES inside the text: expressions and parameters in it work.
            return Statement(sql=text, format=None)
        if token.word == b"INFILE" and previous == b"FROM":
            raise refusal(78, "UNKNOWN_TYPE_OF_QUERY", "Query has infile and was send directly to server.")
        if previous == b"FORMAT":
            starts = DATA_STARTS.match(text, token.end)
            offset = starts.end() if starts else token.end
            return Statement(
                # a line break, because the engine appends to it and a comment may be its last line
                sql=text[: token.start - 1].rstrip()[: -len(b"FORMAT")] + b"\n",
                format=text[token.start : token.end].decode(),
                data=memoryview(text)[offset:],
                settings_at=settings_at,
            )
        if token.word == b"SETTINGS" and previous not in (b"INTO", b"TABLE", b"."):
            settings_at = token.start
        previous = token.word
    return Statement(sql=text, format=None)


def _query(text: bytes, first: _Token, tokens: Iterator[_Token]) -> Statement:
    previous, chosen, ended = first.word, None, False
    for token in tokens:
        if ended and token.word != b";":
            raise refusal(62, "SYNTAX_ERROR", "Syntax error: Multi-statements are not allowed.")
        if previous == b"INTO" and token.word == b"OUTFILE":
            raise refusal(358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed.")
        if previous == b"CREATE" and token.word == b"TEMPORARY":
            raise refusal(48, "NOT_IMPLEMENTED", "Temporary tables need a session; here each request is its own.")
        if previous == b"FORMAT":
            chosen = text[token.start : token.end].decode(errors="replace")
        ended = ended or token.word == b";"
        previous = token.word
    return Statement(sql=text, format=chosen)


def _outer_tokens(text: bytes) -> Iterator[_Token]:
    # Words in upper case, signs as they are; nothing quoted, commented or inside brackets.
    depth = 0
    for match in TOKEN.finditer(text):
        word = match["word"] or match["sign"]
        if word is None:
            continue
        if word in (b"(", b"[", b"{"):
            depth += 1
        elif word in (b")", b"]", b"}"):
            depth -= 1
        elif depth <= 0:
            yield _Token(word.upper(), match.start(), match.end())
