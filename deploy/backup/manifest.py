"""`manifest.json`, the list of a backup's content; it is written last, so a folder without it is no backup."""

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import CannotStart

NAME = "manifest.json"
FORMAT = 1
PART = 1 << 20
Name = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
"""Of a table or a database; it stands in statements."""


class PartitionCopy(BaseModel):
    """A partition of a topic: its first offset, the one after its last, and its file of records."""

    model_config = ConfigDict(extra="forbid")

    first: int
    end: int
    records: int
    file: str


class TableCopy(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rows: int
    files: list[str]


class Archive(BaseModel):
    """A backup by ClickHouse itself, beside the other files: its place, and the tables in it, of one shard."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(pattern=r"^tables(/[\w-]+)+$")
    shard: int = Field(ge=1)
    database: Name
    tables: list[Name]


class CommittedOffset(BaseModel):
    model_config = ConfigDict(extra="forbid")

    group: str
    topic: str
    partition: int
    offset: int
    note: str
    """What was committed beside it."""


class Manifest(BaseModel):
    """Names of topics and groups are without the prefix of the cluster."""

    model_config = ConfigDict(extra="forbid")

    format: int = FORMAT
    release: str
    began_ms: int
    """Everything that was acknowledged before is in it."""
    partitions: int
    migrations: list[str]
    topics: dict[str, list[PartitionCopy]]
    groups: list[CommittedOffset]
    tables: dict[str, TableCopy]
    """Of the first shard, or of the one server."""
    other_shards: list[dict[str, TableCopy]] | None = None
    archives: list[Archive] | None = None
    """Of the tables, in place of their files."""
    sha256: dict[str, str]
    """Of every file."""

    @property
    def by_shard(self) -> list[dict[str, TableCopy]]:
        return [self.tables, *(self.other_shards or ())]

    @property
    def shards(self) -> int:
        return max(len(self.by_shard), *(archive.shard for archive in self.archives or ()), 1)

    def paths(self) -> set[str]:
        """Of the files that topics and tables name."""
        records = {part.file for some in self.topics.values() for part in some}
        return records | {path for tables in self.by_shard for table in tables.values() for path in table.files}


def digest(path: Path) -> str:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(PART):
            sha256.update(part)
    return sha256.hexdigest()


def read(folder: Path) -> Manifest:
    """Raises ``CannotStart`` where the folder is no whole backup that this release can read."""
    manifest = head(folder)
    for name, expected in manifest.sha256.items():
        path = folder / name
        if not path.is_file() or digest(path) != expected:
            raise CannotStart(f"{path} is missing or not what was backed up")
    return manifest


def head(folder: Path) -> Manifest:
    """The same, before the other files are there."""
    try:
        manifest = Manifest.model_validate_json((folder / NAME).read_bytes())
    except OSError as error:
        raise CannotStart(f"{folder} has no {NAME}: it is no backup, or an unfinished one") from error
    except ValidationError as error:
        raise CannotStart(f"{folder / NAME} cannot be read by this release: {error}") from error
    if manifest.format != FORMAT:
        raise CannotStart(f"{folder} has the format {manifest.format}, this release reads {FORMAT}")
    if unknown := manifest.paths() ^ manifest.sha256.keys():
        raise CannotStart(f"{folder / NAME} names {min(unknown)} once only: it was changed")
    for name in manifest.sha256:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise CannotStart(f"{folder / NAME} names {name}, which is not in its folder")
    return manifest


def write(folder: Path, manifest: Manifest) -> None:
    partial = folder / f"{NAME}.partial"
    partial.write_text(manifest.model_dump_json(indent=1, exclude_none=True))
    partial.rename(folder / NAME)
