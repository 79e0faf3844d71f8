"""Kafka's records in, an Avro file of them out, and back; with their offsets, times, keys and headers.

Records are read one at a time: a partition of any size takes the memory of one block.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import fastavro
from fastavro.write import Writer

SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "KafkaRecord",
        "fields": [
            {"name": "offset", "type": "long"},
            {"name": "timestamp", "type": "long"},
            {"name": "key", "type": ["null", "bytes"]},
            {"name": "value", "type": ["null", "bytes"]},
            {
                "name": "headers",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Header",
                        "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": "bytes"}],
                    },
                },
            },
        ],
    }
)


class SavedRecord(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class RecordFile:
    """Takes records in the order of their offsets until it is closed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._writer = Writer(self._file, SCHEMA, codec="zstandard")
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, record: Any) -> None:
        """One of aiokafka's."""
        self._writer.write(
            {
                "offset": record.offset,
                "timestamp": record.timestamp,
                "key": record.key,
                "value": record.value,
                "headers": [{"name": name, "value": value} for name, value in record.headers],
            }
        )
        self.count += 1

    def close(self) -> None:
        if not self._file.closed:
            self._writer.flush()
            self._file.close()


def records_in(path: Path) -> Iterator[SavedRecord]:
    with path.open("rb") as file:
        for record in fastavro.reader(file):
            assert isinstance(record, dict)  # noqa: S101 - the schema says so
            headers = [(header["name"], header["value"]) for header in record["headers"]]
            yield SavedRecord(record["offset"], record["timestamp"], record["key"], record["value"], headers)
