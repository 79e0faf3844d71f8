"""The arguments of an import command in; a checked plan of the import out; pure."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field

from deploy.cli.imports.rows import CSV, NDJSON
from deploy.client.config import ConfigError
from schemas.times import parse_time


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """``kind``: contacts or events; ``chosen``: column by field."""

    kind: str
    chosen: dict[str, str] = field(default_factory=dict)
    ignored: Sequence[str] = ()
    text: Sequence[str] = ()
    format: str = ""
    delimiter: str = ""
    encoding: str = "utf-8-sig"
    event_type: str = ""
    as_of: str = ""
    dry_run: bool = False
    restart: bool = False
    batch: int = 1000

    def __post_init__(self) -> None:
        """Raises ``ConfigError``."""
        if self.format not in ("", CSV, NDJSON):
            raise ConfigError(f"--format {self.format!r}: csv or ndjson")
        if len(self.delimiter) > 1:
            raise ConfigError(f"--delimiter {self.delimiter!r}: one character")
        try:
            codecs.lookup(self.encoding)
        except LookupError as error:
            raise ConfigError(f"--encoding {self.encoding!r}: there is no such encoding") from error
        if self.as_of and parse_time(self.as_of) is None:
            raise ConfigError(f"--as-of {self.as_of!r}: ISO 8601, such as 2026-11-01T12:00:00Z")


def chosen(words: Sequence[str]) -> dict[str, str]:
    """Parses ``FIELD=COLUMN``; raises ``ConfigError``."""
    columns: dict[str, str] = {}
    for word in words:
        target, equals, column = word.partition("=")
        if not equals or not target or not column:
            raise ConfigError(f"--map {word!r}: say FIELD=COLUMN")
        if target in columns:
            raise ConfigError(f"--map {word!r}: {target} is {columns[target]!r} already")
        columns[target] = column
    return columns
