"""The migrations' text in; the tables and feeds that it creates out, and missing ones created again."""

import re
from dataclasses import dataclass

from clickhouse_connect.driver.asyncclient import AsyncClient

from sinks.maintenance.migrate import locked, migrations

_MADE = re.compile(r"CREATE (?:TABLE|MATERIALIZED VIEW|OR REPLACE VIEW)(?: IF NOT EXISTS)? \{database\}\.(\w+)")
_FEED = re.compile(
    r"CREATE MATERIALIZED VIEW IF NOT EXISTS \{database\}\.(\w+) TO \{database\}\.(\w+) AS\s+"
    r"SELECT ([\w\s,]+?)\s+FROM \{database\}\.(\w+);"
)
_COLUMNS = (
    "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
    " AND default_kind NOT IN ('MATERIALIZED', 'ALIAS') ORDER BY position"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A materialized view: it copies rows that are inserted into ``source`` to ``target``."""

    name: str
    target: str
    source: str
    columns: str


def made() -> frozenset[str]:
    """Returns the names of all tables and views that the migrations create."""
    return frozenset(name for migration in migrations() for name in _MADE.findall(migration.text))


def feeds() -> list[Feed]:
    matches = [match for migration in migrations() for match in _FEED.findall(migration.text)]
    return [Feed(name=name, target=target, columns=columns, source=source) for name, target, columns, source in matches]


async def present(client: AsyncClient) -> set[str]:
    """Names of the existing tables and views of the client's database."""
    result = await client.query("SELECT name FROM system.tables WHERE database = currentDatabase()")
    return {name for (name,) in result.result_rows}


async def make_missing(client: AsyncClient, *, replicas: bool = False, shards: int = 1) -> None:
    """Creates missing tables and views, empty, by applying all migrations again: each may be repeated."""
    database = str(client.database)
    async with locked(client, database) as sign_of_life:
        for migration in migrations():
            for statement in migration.statements(database, replicas=replicas, shards=shards):
                await sign_of_life(migration.name)
                await client.command(statement)


async def columns(client: AsyncClient, table: str) -> list[str]:
    """The columns that an insert may name."""
    return [name for (name,) in (await client.query(_COLUMNS, {"table": table})).result_rows]
