"""Objects of the API in; lines of CSV or JSON, or a Parquet file, out; memory holds at most some thousand objects.

A CSV file has a column for each attribute or property of its first rows; the last column holds those of later rows as
JSON, so no value is lost. Parquet has the API's own fields, times as times, objects as JSON.
"""

import csv
import datetime as dt
import io
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Protocol

import orjson

from deploy.client.config import ConfigError

SAMPLE, GROUP = 1000, 10_000
CONTACT = ("id", "external_id", "email", "phone", "anonymous_ids", "created_at", "updated_at", "segments")
EVENT = ("event_id", "type", "timestamp", "received_at", "contact_id", "campaign_id", "message_id", "variant")
FIELDS = {"contacts": CONTACT, "events": (*EVENT, "channel", "source", "identifiers", "context")}
SPREAD = {"contacts": ("attributes", "consents"), "events": ("properties",)}
"""Objects whose entries are columns of their own."""
TIMES = frozenset({"timestamp", "received_at", "created_at", "updated_at"})


class ExportWriter(Protocol):
    """Takes objects one by one; ``close`` writes the pending ones and the file's footer.

    ``release`` closes the file, complete or not.
    """

    def write(self, value: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...

    def release(self) -> None: ...


class NdjsonWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, value: Mapping[str, Any]) -> None:
        self._file.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        self._file.flush()

    def release(self) -> None: ...


class CsvWriter:
    def __init__(self, file: BinaryIO, kind: str) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._csv = csv.writer(self._text)
        self._kind = kind
        self._held: list[Mapping[str, Any]] | None = []
        self._columns: list[tuple[str, str]] = []

    def write(self, value: Mapping[str, Any]) -> None:
        if self._held is None:
            self._row(value)
            return
        self._held.append(value)
        if len(self._held) >= SAMPLE:
            self._begin(self._held)

    def close(self) -> None:
        if self._held is not None:
            self._begin(self._held)
        self._text.flush()

    def release(self) -> None:
        self._text.detach()

    def _begin(self, held: Sequence[Mapping[str, Any]]) -> None:
        self._held = None
        for place in SPREAD[self._kind]:
            names = dict.fromkeys(name for value in held for name in value[place])
            self._columns += [(place, name) for name in names]
        spread = [f"{place}.{name}" for place, name in self._columns]
        self._csv.writerow([*FIELDS[self._kind], *spread, *SPREAD[self._kind]])
        for value in held:
            self._row(value)

    def _row(self, value: Mapping[str, Any]) -> None:
        rest = {place: dict(value[place]) for place in SPREAD[self._kind]}
        spread = [_cell(rest[place].pop(name, None)) for place, name in self._columns]
        late = [_cell(rest[place] or None) for place in SPREAD[self._kind]]
        self._csv.writerow([*(_cell(value.get(name)) for name in FIELDS[self._kind]), *spread, *late])


def _cell(value: Any) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


class ParquetWriter:
    """Raises ``ConfigError`` without pyarrow."""

    def __init__(self, file: BinaryIO, kind: str) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra, and 100 MB
            from pyarrow import parquet  # noqa: PLC0415 - same
        except ImportError as error:
            raise ConfigError("pyarrow is not installed: pip install 'headwater[parquet]'") from error
        self._pa = pa
        self._names = (*FIELDS[kind], *SPREAD[kind])
        time = pa.timestamp("ms", tz="UTC")
        self._schema = pa.schema([(name, time if name in TIMES else pa.string()) for name in self._names])
        self._file = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._held: list[dict[str, Any]] = []

    def write(self, value: Mapping[str, Any]) -> None:
        self._held.append({name: _arrow(name, value.get(name)) for name in self._names})
        if len(self._held) >= GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def release(self) -> None:
        self._file.close()

    def _flush(self) -> None:
        self._file.write_table(self._pa.Table.from_pylist(self._held, schema=self._schema))
        self._held.clear()


def _arrow(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in TIMES:
        return dt.datetime.fromisoformat(value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def writer(file: BinaryIO, form: str, kind: str) -> ExportWriter:
    """Returns the writer for ``form``: ndjson, csv or parquet."""
    if form == "csv":
        return CsvWriter(file, kind)
    return ParquetWriter(file, kind) if form == "parquet" else NdjsonWriter(file)
