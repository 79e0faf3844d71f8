"""Tables under load in, files in ClickHouse's own format out, and back; a table's parts as they are at one moment.

1. The table that holds the sink's position is copied before the other tables of its topic. These may have more rows;
   the sink writes those again, and the tables' keys collapse the copies.
2. `squashes` says up to which moment merges are in the rows: it is copied before these, which may change meanwhile.
3. ClickHouse merges no parts of a table while it is copied, so each row is read once; new parts are not in the copy.
   A replica has what the others have first, and then takes no parts, merged ones among them, from these.
4. Each shard gives its own rows; tables that every shard has whole come from the first one.
"""

import asyncio
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import zstandard
from clickhouse_connect.driver.asyncclient import AsyncClient

from deploy.backup.manifest import TableCopy
from schemas.errors import CannotStart
from sinks.clickhouse.streams import STREAMS
from sinks.maintenance.cluster import EVERYWHERE
from sinks.maintenance.layout import columns
from sinks.maintenance.merges import TablePart, parts_held, tried

ROWS, BYTES = 100_000, 64 << 20
"""Most of one file, by ClickHouse's own figures of parts, uncompressed."""
SQUASHES = "squashes"
OWN = "name NOT LIKE '\\_%' AND engine LIKE '%MergeTree'"
TABLES = f"SELECT name FROM system.tables WHERE database = currentDatabase() AND {OWN} ORDER BY name"  # noqa: S608 - no value in it


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


def pieces(parts: list[TablePart]) -> Iterator[Piece]:
    """Parts in; small ones together, and large ones in pieces, out."""
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


def tables_at(shard: int, tables: Iterable[str]) -> list[str]:
    """Those that are copied from this shard, the first of which is 1; pure."""
    return [name for name in tables if shard == 1 or name not in EVERYWHERE]


async def copy_out(client: AsyncClient, table: str, folder: Path, shard: int = 1, *, replicated: bool) -> TableCopy:
    """Raises ``CannotStart`` where parts vanished meanwhile, each time that the table was copied."""
    place = folder / "tables" / table / (f"shard-{shard}" if shard > 1 else "")
    names = ", ".join(f"`{name}`" for name in await columns(client, table))

    async def copied() -> TableCopy:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        async with parts_held(client, table, replicated=replicated) as parts:
            files = [
                await _write(client, f"SELECT {names} FROM {table}", piece, place / f"{number}.native.zst")  # noqa: S608 - names of ours
                for number, piece in enumerate(pieces(parts))
            ]
        return TableCopy(rows=sum(part.rows for part in parts), files=[str(file.relative_to(folder)) for file in files])

    return await tried(copied)


async def _write(client: AsyncClient, select: str, piece: Piece, file: Path) -> Path:
    where = "WHERE _part IN {parts:Array(String)} AND _part_offset BETWEEN {first:UInt64} AND {last:UInt64}"
    values = {"parts": list(piece.parts), "first": piece.first, "last": piece.last}
    content = zstandard.compress(await client.raw_query(f"{select} {where}", values, fmt="Native"))
    await asyncio.to_thread(file.write_bytes, content)
    return file


async def copy_tables(clients: Sequence[AsyncClient], folder: Path, *, replicated: bool) -> list[dict[str, TableCopy]]:
    """The copies by shards: what says how far others are comes first, of all shards."""
    copies: list[dict[str, TableCopy]] = [{} for _ in clients]
    for name in await tables_of(clients[0]):
        for shard, client in enumerate(clients, 1):
            if name in tables_at(shard, (name,)):
                copies[shard - 1][name] = await copy_out(client, name, folder, shard, replicated=replicated)
    return copies


async def refuse_rows(client: AsyncClient, *, replicated: bool = False) -> None:
    """Raise ``CannotStart`` where a table has rows, be they on another replica."""
    for table in await tables_of(client):
        if replicated:
            await client.command(f"SYSTEM SYNC REPLICA {table}")
        if (await client.query(f"SELECT 1 FROM {table} LIMIT 1")).result_rows:  # noqa: S608 - a name of ours
            raise CannotStart(
                f"the table {client.database}.{table} is not empty: restore into an empty database, such as another "
                "HEADWATER_CLICKHOUSE_DATABASE"
            )


async def copy_in(client: AsyncClient, folder: Path, tables: Mapping[str, TableCopy]) -> int:
    """How many rows were written; a column that a table has not had in the backup has its default."""
    rows = 0
    for table, copy in tables.items():
        for name in copy.files:
            content = zstandard.decompress((folder / name).read_bytes())
            if content:
                await client.raw_insert(table, insert_block=content, fmt="Native")
        rows += copy.rows
    return rows
