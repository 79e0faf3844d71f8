"""The tables of one server in; the same rows in the empty tables of a cluster, whose first replica it became, out.

ClickHouse attaches parts instead of copying them: both databases are on one disk, and the other replicas fetch the
parts. The rows hold the sink's position, so the sink resumes there. The older database does not change, and its process
may start again.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.backup.tables import refuse_rows, tables_of
from deploy.group_members import members
from schemas.errors import CannotStart
from schemas.service.process import read_settings, run_to_end
from schemas.settings import Settings
from sinks.clickhouse.connect import writing
from sinks.maintenance.merges import merges_stopped
from sinks.maintenance.migrate import digests

Say = Callable[[str], None]
UNPARTITIONED = "all"
"""What ClickHouse calls the only partition of a table without ``PARTITION BY``."""


async def adopt(settings: Settings, older: str, say: Say) -> None:
    """Adopts ``older``, the previous database on the host of ``CLICKHOUSE_URL``. Raises ``CannotStart``."""
    if not settings.clickhouse_cluster or settings.clickhouse_shards > 1:
        raise CannotStart("one server's data is adopted by the replicas of one shard: set HEADWATER_CLICKHOUSE_CLUSTER")
    if running := [member for member in await members(settings) if member.stage == "clickhouse"]:
        raise CannotStart(f"the sink {running[0].worker} runs, or did just now: stop it, and retire it")
    async with await writing(settings) as client:
        try:
            await attach(client, older, say)
        except ClickHouseError as error:
            raise CannotStart(f"ClickHouse does not attach the parts: {str(error)[:300]}") from error


async def attach(client: AsyncClient, older: str, say: Say) -> None:
    """Attaches parts to the client's equal tables without rows; raises ``CannotStart``."""
    newer = str(client.database)
    if older == newer:
        raise CannotStart("give the tables of the cluster another HEADWATER_CLICKHOUSE_DATABASE, and provision them")
    names = {name for (name,) in (await client.query(_TABLES, {"database": older})).result_rows}
    if not names:
        raise CannotStart(f"there are no tables in {older} on this host")
    before, now = await digests(client, older), await digests(client, newer)
    numbered = {name for name in before | now if not name.startswith("views/")}
    if differing := sorted(name for name in numbered if before.get(name) != now.get(name)):
        raise CannotStart(f"{older} and {newer} differ in {differing[0]}: provision both with this release first")
    await refuse_rows(client)
    rows = 0
    for table in await tables_of(client):
        to, source = f"{newer}.{table}", f"{older}.{table}"
        counts = f"SELECT (SELECT count() FROM {source}), (SELECT count() FROM {to})"  # noqa: S608 - names of ours
        # a merge drops replaced rows, and the counts would differ
        async with merges_stopped(client, source), merges_stopped(client, to):
            await client.command(f"ALTER TABLE {to} ATTACH PARTITION ID '{UNPARTITIONED}' FROM {source}")
            were, are = (await client.query(counts)).result_rows[0]
        if were != are:
            raise CannotStart(f"{table} has {are} rows of {were}: drop the database {newer} and begin anew")
        rows += are
    say(f"{rows} rows of {len(names)} tables are adopted: start the sink")


def main(
    older: Annotated[str, typer.Argument(metavar="DATABASE", help="The one server's database.", show_default=False)],
) -> None:
    """Takes one server's tables over into the empty ones of a cluster whose first replica it became.

    Ends with a one-line error if that fails.
    """
    try:
        run_to_end(adopt(read_settings(), older, partial(print, flush=True)))
    except CannotStart as error:
        sys.exit(str(error))


_TABLES = (
    "SELECT name FROM system.tables WHERE database = {database:String}"
    " AND name NOT LIKE '\\_%' AND engine LIKE '%MergeTree'"
)

if __name__ == "__main__":
    cli = typer.Typer(add_completion=False)
    cli.command()(main)
    cli(prog_name="python -m deploy.backup.adopt")
