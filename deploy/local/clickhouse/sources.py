"""SQL in; an error for access to files, hosts or programs, and for a reader's statement other than a read; pure.

Only the engine can resolve a name in SQL. Here a word before a bracket that is a table function of the engine
has to be one of ``LOCAL``: it makes rows, or reads tables of this database. A name that a later version of the engine
brings is refused until it stands there.
"""

from collections.abc import Collection, Iterator

from deploy.local.clickhouse.codes import refusal
from deploy.local.clickhouse.sql import TOKEN

LOCAL = frozenset(
    "dictionary format fuzzjson fuzzquery generaterandom generateseries generate_series input loop merge "
    "mergetreeanalyzeindexes mergetreeanalyzeindexesuuid mergetreecodecblockcounts mergetreeindex "
    "mergetreeprojection mergetreetextindex null numbers numbers_mt primes sqlstandardvalues values view viewexplain "
    "viewifpermitted zeros zeros_mt timeseriesdata timeseriesmetricfamilies timeseriesmetrics timeseriessamples "
    "timeseriesselector timeseriestags".split()
)
ENGINES = frozenset(
    "memory join set null log tinylog stripelog view materializedview merge buffer dictionary atomic lazy".split()
)
"""Table engines allowed beside the MergeTree family."""
BACKUPS = frozenset({b"BACKUP", b"RESTORE"})
"""Statements of the password's holder, which name a place in S3."""
READS = frozenset({b"SELECT", b"WITH", b"SHOW", b"DESCRIBE", b"DESC", b"EXPLAIN", b"EXISTS", b"("})
_QUOTES = b'`"'


def check_reads(sql: bytes) -> None:
    """Raise ``ClickHouseError`` (497) for a statement that is no read."""
    first = next(_words(sql), b"")
    if first.upper() not in READS:
        raise refusal(
            497, "ACCESS_DENIED", "Only reads are served without the password that lies in the stack's directory."
        )


def check_sources(sql: bytes, table_functions: Collection[str]) -> None:
    """Raise ``ClickHouseError`` (497) where the text names a function or engine that reaches beyond this database."""
    # else it is the column of `system.tables`; no statement holds a second one
    first = next(_words(sql), b"").upper()
    defines, elsewhere = first not in READS | {b"INSERT"}, {"s3"} if first in BACKUPS else set()
    previous = before = b""
    for word in _words(sql):
        if word == b"(":
            name = previous.decode(errors="replace").lower()
            if name in table_functions and name not in LOCAL | elsewhere:
                raise _denied(f"The function {name}")
        is_engine = previous.upper() == b"ENGINE" or (previous == b"=" and before.upper() == b"ENGINE")
        if is_engine and defines and word != b"=":
            name = word.decode(errors="replace").lower()
            if name not in ENGINES and not name.endswith("mergetree"):
                raise _denied(f"The engine {name}")
        before, previous = previous, word


def _words(sql: bytes) -> Iterator[bytes]:
    """Words, quoted names without their quotes, and signs; no comments, and no strings but their place."""
    for match in TOKEN.finditer(sql):
        quoted = match["quoted"]
        if quoted is not None:
            yield quoted[1:-1] if quoted[:1] in _QUOTES else b"''"
        elif match["heredoc"] is not None:
            yield b"''"
        elif (word := match["word"] or match["sign"]) is not None:
            yield word


def _denied(what: str) -> Exception:
    return refusal(497, "ACCESS_DENIED", f"{what} reaches files, programs or other hosts; it is not served here.")
