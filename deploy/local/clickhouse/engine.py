"""A question (SQL, settings, parameters, data) in, an answer in a ClickHouse format or a coded error out.

The engine is chDB: ClickHouse itself, inside this process, on one directory that it locks.

1. Every question has a connection of its own (0.1 ms): settings, database and parameters cannot leak into the
   next one, and a connection is never used by two threads, which chDB answers with an empty result.
2. An insert is acknowledged after the engine has written it: killing the process loses none that was.
3. The root connection is closed last: the engine shuts down with its last connection.
"""

import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from deploy.local.clickhouse.codes import ClickHouseError, refusal
from deploy.local.clickhouse.disk import FLOOR_BYTES, Floor
from deploy.local.clickhouse.native_blocks import TIME_ZONES, Version, has_time_zones, rebuilt, versioned
from deploy.local.clickhouse.native_types import UnmeasurableError
from deploy.local.clickhouse.repair import DEFINES, keep, repair
from deploy.local.clickhouse.sql import Statement
from schemas.sql_text import literal

if TYPE_CHECKING:
    from chdb.state.sqlitelike import Connection

log = logging.getLogger(__name__)

ERROR = re.compile(r"Code: (\d+)\. DB::Exception: .*", re.DOTALL)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
FORMAT_AT_END = re.compile(r"\s+FORMAT\s+\w+[\s;]*$|[\s;]+$", re.IGNORECASE)
VERSION = re.compile(r" \(version [^()]*\)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineQuery:
    statement: Statement
    format: str
    """Of the answer, where the statement names none."""
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    """Values in ClickHouse's escaped form, as they come over HTTP."""
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    body: bytes
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    elapsed: float = 0.0


class Engine:
    """Thread-safe; each method blocks and releases the GIL while ClickHouse works."""

    def __init__(self, path: Path, floor_bytes: int = FLOOR_BYTES) -> None:
        # The library reads the time zone when it is loaded; a table's days must not depend on the laptop.
        os.environ["TZ"] = "UTC"
        from chdb.state.sqlitelike import connect  # noqa: PLC0415 - hence not at the top

        self._connect: Callable[[str], Connection] = connect
        self._path = str(path.resolve())
        self._folder = path
        repair(path)
        _forget_empty_default(path)
        self._root = self._connect(self._path)
        self._close_files()
        self.floor = Floor(path, self._control, floor_bytes)
        self.version, self.timezone, self.host = self._facts()
        keep(path)

    def execute(self, question: EngineQuery) -> QueryResult:
        """Raises ``ClickHouseError`` with ClickHouse's code."""
        try:
            self.floor.admit(question.statement.sql)
            with closing(self._connect(self._path)) as connection:
                _prepare(connection, question)
                if question.statement.data is not None:
                    return _insert(connection, question.statement)
                answer = _query(connection, question)
        except RuntimeError as error:  # chDB's ChdbError among them
            raise _coded(error) from error
        if question.statement.sql.lstrip()[:8].upper().startswith(DEFINES):
            keep(self._folder)
        return answer

    def native(self, question: EngineQuery, answer: QueryResult, number: int) -> bytes:
        """An answer in Native as clients of a protocol version read it; raises ``ClickHouseError``."""
        data = answer.body
        version = Version(number, self._types(question) if number >= TIME_ZONES and has_time_zones(data) else {})
        try:
            return versioned(data, version, answer.result_rows)
        except (UnmeasurableError, IndexError):
            pass
        try:
            with _file_of(data) as path, closing(self._connect(self._path)) as connection:
                table = f"file('{path}', 'Native')"
                return rebuilt(data, version, lambda sql: connection.query(sql.replace("{table}", table)).bytes())
        except (UnmeasurableError, RuntimeError) as error:
            message = "Columns of these types need names of their own in Native of a protocol version; name each one."
            raise refusal(48, "NOT_IMPLEMENTED", f"{message} {str(error)[:200]}") from error

    def _types(self, question: EngineQuery) -> dict[str, str]:
        """The types of a query's columns by their names; none where the engine does not say."""
        sql = FORMAT_AT_END.sub("", _text(question.statement.sql))
        try:
            with closing(self._connect(self._path)) as connection:
                _prepare(connection, question)
                described = f"DESCRIBE TABLE ({sql}\n)"
                description = connection.query(described, "JSONCompact", params=dict(question.params)).bytes()
        except RuntimeError:
            return {}
        return {row[0]: row[1] for row in orjson.loads(description)["data"]}

    def _control(self, sql: str) -> None:
        with closing(self._connect(self._path)) as connection:
            connection.query(sql)

    def close(self) -> None:
        self._root.close()

    def _close_files(self) -> None:
        """Make ``default`` an ordinary database: as chDB makes it, it takes a table's name for a file's path."""
        self._root.query("USE system")
        self._root.query("DETACH DATABASE IF EXISTS default")
        with suppress(RuntimeError):  # there is nothing to attach in a new directory
            self._root.query("ATTACH DATABASE default")
        self._root.query("CREATE DATABASE IF NOT EXISTS default ENGINE = Atomic")
        self._root.query("USE default")
        engine = self._root.query("SELECT engine FROM system.databases WHERE name = 'default'", "TabSeparated")
        if engine.bytes() != b"Atomic\n":
            raise RuntimeError(f"the database default is {engine.bytes()!r}: its tables might be files")
        names = self._root.query("SELECT lower(name) FROM system.table_functions", "TabSeparated").bytes().decode()
        self.table_functions = frozenset(names.split()) | {"file", "catboostevaluate"}

    def _facts(self) -> tuple[str, str, str]:
        row = self._root.query("SELECT version(), timezone(), hostName()", "TabSeparated").bytes().decode()
        version, timezone, host = row.rstrip("\n").split("\t")
        return version, timezone, host


def _forget_empty_default(path: Path) -> None:
    """Recreate ``default`` if it has no tables: the engine does not attach an empty database."""
    metadata = path / "metadata"
    if not any((metadata / "default").glob("*.sql")):
        for name in ("default.sql", "default.sql.tmp"):
            (metadata / name).unlink(missing_ok=True)


def _prepare(connection: "Connection", question: EngineQuery) -> None:
    # Settings of a server's default profile in which the embedded engine differs.
    settings = {"implicit_select": "0", "allow_introspection_functions": "0"}
    settings |= question.settings
    if question.statement.data is not None:  # the only way for an insert; a query's may be longer than a statement
        settings |= {f"param_{name}": value for name, value in question.params.items()}
    readonly = settings.pop("readonly", "0")
    # last, since nothing can be set after it
    settings["readonly"] = "2" if question.read_only and readonly != "1" else readonly
    for name in settings:
        if not NAME.fullmatch(name):
            raise refusal(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'.")
    if question.database:
        connection.query("USE `" + question.database.replace("\\", "\\\\").replace("`", "\\`") + "`")
    connection.query("SET " + ", ".join(f"{name}={literal(value)}" for name, value in settings.items()))


def _query(connection: "Connection", question: EngineQuery) -> QueryResult:
    result = connection.query(_text(question.statement.sql), question.format, params=dict(question.params))
    return QueryResult(
        body=result.bytes(),
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        result_rows=result.rows_read(),
        elapsed=result.elapsed(),
    )


def _insert(connection: "Connection", statement: Statement) -> QueryResult:
    # Not the library's insert stream: its end reports success where the table refused the rows (a constraint, too
    # many parts, a view that fails). A file of memory, read by its path, goes the way of every other query.
    assert statement.data is not None and statement.format is not None  # noqa: S101, PT018 - execute() has seen it
    with _file_of(statement.data) as path:
        head, settings = statement.sql[: statement.settings_at], b""
        if statement.settings_at is not None:
            settings = statement.sql[statement.settings_at :]
        source = f"\nFROM INFILE '{path}'\n"  # the grammar wants it before an insert's own settings
        result = connection.query(f"{_text(head)}{source}{_text(settings)}\nFORMAT {statement.format}", "TSV")
    return QueryResult(
        body=b"", written_rows=result.rows_written(), written_bytes=result.bytes_written(), elapsed=result.elapsed()
    )


@contextmanager
def _file_of(data: bytes | memoryview) -> Iterator[str]:
    """A path that reads as these bytes: of memory where the system can, else of the temporary folder."""
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("insert"), "wb", buffering=0) as file:  # noqa: PTH123 - it has no path yet
            file.write(data)
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            yield file.name


def _text(sql: bytes) -> str:
    try:
        return sql.decode()
    except UnicodeDecodeError as error:
        raise refusal(62, "SYNTAX_ERROR", f"Syntax error: the query is not UTF-8: {error}.") from error


def _coded(error: RuntimeError) -> ClickHouseError:
    match = ERROR.search(str(error))
    if match is None:
        return refusal(1002, "UNKNOWN_EXCEPTION", str(error))
    return ClickHouseError(int(match[1]), VERSION.sub("", match[0]).rstrip())
