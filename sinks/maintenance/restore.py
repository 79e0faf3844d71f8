"""A database that has lost a table in; the table created again, and filled from Kafka and other tables, out.

Its topic is read again from Kafka, and a table that a view fills is filled from the one that the view reads.
"""

from clickhouse_connect.driver.asyncclient import AsyncClient

from schemas.settings import Settings
from sinks.clickhouse.rereads import streams_of
from sinks.maintenance.layout import Feed, feeds, made, make_missing, present
from sinks.maintenance.merges import parts_held, tried
from sinks.maintenance.reread import ask_again

BEFORE = "_before_"
"""Prefix of the old table's name during a rebuild."""
UNFILLED = "_unfilled_"
"""Prefix of an empty table's name: the feed's target still lacks the rows of before. It outlives a kill."""


async def restore_missing(settings: Settings, client: AsyncClient) -> list[str]:
    """Creates lost tables again and requests that their topics are read again; returns the tables' names.

    Raises ``CannotStart`` where merges do not let a table be read; the next call goes on.
    """
    there = await present(client)
    gone = sorted(name for name in made() - there if BEFORE + name not in there)
    due = [feed for feed in feeds() if {feed.name, feed.target} & {*gone} or UNFILLED + feed.name in there]
    for feed in due:
        await client.command(
            f"CREATE TABLE IF NOT EXISTS {UNFILLED}{feed.name} (no UInt8) ENGINE = MergeTree ORDER BY no"
        )
    if gone:
        reread_topics = {stream.topic for name in gone for stream in streams_of(name)}
        for topic in reread_topics:  # before the tables: a repeated request is harmless, a missing one is not
            await ask_again(settings, topic, f"made again: {', '.join(gone)}")
        await make_missing(client)
    for feed in due:
        await derive(client, feed)
        await client.command(f"DROP TABLE IF EXISTS {UNFILLED}{feed.name} SYNC")
    return gone


def feeds_into(table: str) -> list[Feed]:
    return [feed for feed in feeds() if feed.target == table]


async def derive(client: AsyncClient, feed: Feed, *, replicated: bool = False) -> None:
    """The rows that the view would have written for the present rows of its source; what is there already, collapses.

    Raises ``CannotStart`` where merges do not let the source be read. Meanwhile its parts are not merged.
    """
    insert = f"INSERT INTO {feed.target} ({feed.columns}) SELECT {feed.columns} FROM {feed.source}"  # noqa: S608 - names of ours

    async def derived() -> None:
        async with parts_held(client, feed.source, replicated=replicated) as parts:
            for part in parts:
                await client.command(
                    f"{insert} WHERE _part = {{part:String}}",
                    {"part": part.name},
                    settings={"insert_deduplicate": "0"},  # a block that a replicated table had once it would drop
                )

    await tried(derived)
