"""Tables under load in, files in ClickHouse's own format out, and back; a table's parts as they are at one moment.

1. The table that holds the sink's position is copied before the other tables of its topic. These may have more rows;
   the sink writes those again, and the tables' keys collapse the copies.
2. `squashes` says up to which moment merges are in the rows: it is copied before these, which may change meanwhile.
3. ClickHouse merges no parts of a table while it is copied, so each row is read once; new parts are not in the copy.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import zstandard
from clickhouse_connect.driver.asyncclient import AsyncClient

from deploy.backup.manifest import Manifest, TableCopy
from schemas.errors import CannotStart
from sinks.clickhouse.streams import STREAMS
from sinks.maintenance.layout import columns

ROWS, BYTES = 100_000, 64 << 20
"""Most of one file, by ClickHouse's own figures of parts, uncompressed."""
SQUASHES = "squashes"
OWN = "name NOT LIKE '\\_%' AND engine LIKE '%MergeTree'"
TABLES = f"SELECT name FROM system.tables WHERE database = currentDatabase() AND {OWN} ORDER BY name"  # noqa: S608 - no value in it
PARTS = (
    "SELECT name, rows, data_uncompressed_bytes FROM system.parts WHERE database = currentDatabase()"
    " AND table = {table:String} AND active ORDER BY name"
)


class Piece(NamedTuple):
    """Rows of some parts; of a large one those from ``first`` up to ``last``."""

    parts: tuple[str, ...]
    first: int = 0
    last: int = 1 << 62


async def tables_of(client: AsyncClient) -> list[str]:
    """The names of the tables to copy, in the order of ``ordered``."""
    return [name for names in ordered(name for (name,) in (await client.query(TABLES)).result_rows) for name in names]


def ordered(tables: Iterable[str]) -> list[list[str]]:
    """What is copied first, next and last: a moment of a squash, before the rows that it speaks of; checkpoints."""
    checkpoints = {table.name for stream in STREAMS for table in stream.checkpoints}
    checkpoints -= {table.name for stream in STREAMS for table in stream.extra}  # another stream's, which come first
    steps: list[list[str]] = [[], [], []]
    for name in sorted(tables):
        steps[0 if name == SQUASHES else 1 if name in checkpoints else 2].append(name)
    return steps


def pieces(parts: list[tuple[str, int, int]]) -> Iterator[Piece]:
    """Name, rows and bytes of parts in; small ones together, and large ones in pieces, out."""
    together: list[str] = []
    rows = size = 0
    for name, part_rows, part_bytes in parts:
        if part_rows > ROWS or part_bytes > BYTES:
            step = max(1, min(ROWS, part_rows * BYTES // max(part_bytes, 1)))
            yield from (Piece((name,), at, at + step - 1) for at in range(0, part_rows, step))
            continue
        if together and (rows + part_rows > ROWS or size + part_bytes > BYTES):
            yield Piece(tuple(together))
            together, rows, size = [], 0, 0
        together.append(name)
        rows, size = rows + part_rows, size + part_bytes
    if together:
        yield Piece(tuple(together))


async def copy_out(client: AsyncClient, table: str, folder: Path) -> TableCopy:
    """Raises ``CannotStart`` where a part vanished meanwhile."""
    names = ", ".join(f"`{name}`" for name in await columns(client, table))
    files, rows = [], 0
    async with unmerged(client, table):
        parts = [
            (str(name), int(n), int(size))
            for name, n, size in (await client.query(PARTS, {"table": table})).result_rows
        ]
        for number, piece in enumerate(pieces(parts)):
            where = "WHERE _part IN {parts:Array(String)} AND _part_offset BETWEEN {first:UInt64} AND {last:UInt64}"
            values = {"parts": list(piece.parts), "first": piece.first, "last": piece.last}
            content = await client.raw_query(f"SELECT {names} FROM {table} {where}", values, fmt="Native")  # noqa: S608 - a name of ours
            path = folder / "tables" / table / f"{number}.native.zst"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(zstandard.compress(content))
            files.append(str(path.relative_to(folder)))
        still = {name for name, *_ in await _parts(client, table)}
        if gone := [name for name, *_ in parts if name not in still]:
            raise CannotStart(f"{table} changed while it was copied ({gone[0]} is gone): run the command again")
        rows = sum(n for _, n, _ in parts)
    return TableCopy(rows=rows, files=files)


async def _parts(client: AsyncClient, table: str) -> list[tuple[str, int, int]]:
    """Name, rows, bytes."""
    parts = (await client.query(PARTS, {"table": table})).result_rows
    return [(str(name), int(rows), int(size)) for name, rows, size in parts]


@asynccontextmanager
async def unmerged(client: AsyncClient, table: str) -> AsyncIterator[None]:
    """Keeps the table's parts as they are: no merge starts within the block."""
    await client.command(f"SYSTEM STOP MERGES {table}")
    try:
        yield
    finally:
        await client.command(f"SYSTEM START MERGES {table}")


async def refuse_rows(client: AsyncClient) -> None:
    """Raise ``CannotStart`` where a table has rows."""
    for table in await tables_of(client):
        if (await client.query(f"SELECT 1 FROM {table} LIMIT 1")).result_rows:  # noqa: S608 - a name of ours
            raise CannotStart(
                f"the table {client.database}.{table} is not empty: restore into an empty database, such as another "
                "HEADWATER_CLICKHOUSE_DATABASE"
            )


async def copy_in(client: AsyncClient, folder: Path, manifest: Manifest) -> int:
    """How many rows were written; a column that a table has not had in the backup has its default."""
    rows = 0
    for table, copy in manifest.tables.items():
        for name in copy.files:
            content = zstandard.decompress((folder / name).read_bytes())
            if content:
                await client.raw_insert(table, insert_block=content, fmt="Native")
        rows += copy.rows
    return rows
