"""The name of a ClickHouse table in; the same table, rebuilt from Kafka's records and its older rows, out.

``python -m deploy.provision --rebuild TABLE`` runs beside everything else: nothing has to be stopped.

1. The table is put aside as ``_before_TABLE`` and made anew, empty. A table that a view fills is then filled from the
   one that the view reads.
2. Rows that Kafka has no longer are copied from the one that was put aside, part by part. Of a compacted topic, whose
   older records are gone wherever they stood, all rows are.
3. The sink reads the table's topic again from its beginning; other tables of the topic collapse the copies.
4. When the sink is through, the table that was put aside is dropped.

It may be stopped anywhere and repeated: the table put aside marks an earlier try. Of a cluster nothing is put aside,
as a replicated table's place in Keeper has its name: missing rows come beside those that are there. Tables of names
(`sinks/definitions/`) are made from `control` and the stored events, and keep the rows that neither has.
"""

import asyncio
import time
from collections.abc import Callable

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.first_key import definitions
from schemas import topics
from schemas.control.erasure import IDENTITY, SEGMENTS, WEBHOOKS, done_ms
from schemas.errors import CannotStart
from schemas.service.clickhouse_auth import read_database
from schemas.settings import Settings
from schemas.times import iso
from sinks.clickhouse.connect import writing
from sinks.clickhouse.rereads import Reread, mark_of, stream_of
from sinks.clickhouse.resume import committed_of
from sinks.definitions.keeper import EVENT_TYPES, keep_event_types, keep_names
from sinks.definitions.rows import NAME_TABLES
from sinks.maintenance.cluster import EVERYWHERE, hosts_of, insert_clients
from sinks.maintenance.erase import erase
from sinks.maintenance.layout import columns, feeds, made, make_missing, present
from sinks.maintenance.merges import parts_held, tried
from sinks.maintenance.reread import ask_again, reach
from sinks.maintenance.restore import BEFORE, derive, feeds_into

Say = Callable[[str], None]

LOOK_S, SAY_S = 0.5, 10.0
NAMED = frozenset({EVENT_TYPES, *(table.name for table in NAME_TABLES)})


async def rebuild(settings: Settings, table: str, say: Say, *, lose: bool) -> None:
    """Return when it is done; raises ``CannotStart`` where rows would be lost and ``lose`` is not set."""
    stream = stream_of(table)
    if stream is None and table not in NAMED:
        names = sorted(name for name in made() if stream_of(name) is not None or name in NAMED)
        raise CannotStart(f"{table!r} is not filled from Kafka; these are: {' '.join(names)}")
    if settings.clickhouse_cluster:
        await refill(settings, table, say)
        return
    client = await writing(settings)
    try:
        if stream is None:
            await _rebuild_names(client, settings, table, say, lose=lose)
        else:
            await _rebuild(client, settings, table, stream.topic, say, lose=lose)
    finally:
        await client.close()


async def _rebuild(
    client: AsyncClient, settings: Settings, table: str, topic: topics.Topic, say: Say, *, lose: bool
) -> None:
    before, there = BEFORE + table, await present(client)
    first, end, since_ms = await reach(settings, topic)
    since = iso(since_ms) if since_ms is not None else "now on, as it is empty,"
    kept = "by key the last" if topic.retention_ms is None else "all"
    say(f"{table} comes from {topic.name}: Kafka has {kept} of it from {since}")
    old = before if before in there else table if table in there else ""
    unreadable = await _unreadable(client, old) if old else []
    if unreadable and (any(first.values()) or topic.retention_ms is None) and not lose:
        raise CannotStart(
            f"parts of {table} that cannot be read may hold rows that Kafka has no longer, which would be lost: "
            f"{', '.join(unreadable)}. Nothing was changed; --yes goes on without them"
        )
    if not old:
        say(f"{table} is gone: rows from before {since} cannot come again but from a backup")
    await _put_aside(client, table, old)
    for feed in feeds_into(table):
        await derive(client, feed)
    if old:
        where, values = _not_in_kafka(settings, topic, first, end)
        say(f"{await _copy(client, table, where, values, unreadable)} rows of before are kept")
        await _erase_again(client, settings, table)
    reread = await ask_again(settings, topic, f"{table} is rebuilt")
    await _wait(settings, reread, topic, first, say)
    later, _, _ = await reach(settings, topic)
    if old and later != first:  # records that Kafka deleted meanwhile may not have been read
        where, values = _not_in_kafka(settings, topic, later, end)
        await _copy(client, table, where, values, unreadable)
        await _erase_again(client, settings, table)
    await client.command(f"DROP TABLE IF EXISTS {before} SYNC")
    say(f"{table} is rebuilt")


async def refill(settings: Settings, table: str, say: Say) -> None:
    """Of a cluster: missing tables and rows come again; rows that are there stay, and no replica puts one aside."""
    is_cluster = bool(settings.clickhouse_cluster)
    for host in await hosts_of(settings):
        async with await writing(host) as client:
            await make_missing(client, replicas=is_cluster, shards=settings.clickhouse_shards)
    async with insert_clients(settings) as clients:
        for feed in feeds_into(table):
            for client in clients[:1] if feed.target in EVERYWHERE else clients:
                await derive(client, feed, replicated=is_cluster)
        if table == EVENT_TYPES:
            await keep_event_types(clients[0], read_database(settings))
        elif table in NAMED:
            await keep_names(clients[0], (await definitions(settings))[1])
    if stream := stream_of(table):
        first, _, _ = await reach(settings, stream.topic)
        reread = await ask_again(settings, stream.topic, f"{table} is filled again")
        await _wait(settings, reread, stream.topic, first, say)
    say(f"{table} is filled again")


async def _put_aside(client: AsyncClient, table: str, old: str) -> None:
    """Recreate a table, empty; ``old`` has its rows so far, if any."""
    if old == table:
        for feed in feeds():
            if table in (feed.source, feed.target):
                await client.command(f"DROP VIEW IF EXISTS {feed.name} SYNC")
        await client.command(f"RENAME TABLE {table} TO {BEFORE + table}")
    await make_missing(client)


async def _rebuild_names(client: AsyncClient, settings: Settings, table: str, say: Say, *, lose: bool) -> None:
    """Of a table that the sink keeps equal to `control`, or to the events that are stored."""
    before, there = BEFORE + table, await present(client)
    old = before if before in there else table if table in there else ""
    unreadable = await _unreadable(client, old) if old else []
    if unreadable and not lose:
        raise CannotStart(
            f"parts of {table} that cannot be read may hold names of what is gone, which would be lost: "
            f"{', '.join(unreadable)}. Nothing was changed; --yes goes on without them"
        )
    await _put_aside(client, table, old)
    if table == EVENT_TYPES:
        await keep_event_types(client, settings.clickhouse_database)
    if old:
        say(f"{await _copy(client, table, '1', {}, unreadable)} rows of before are kept")
    if table != EVENT_TYPES:
        _, state = await definitions(settings)
        await keep_names(client, state)
    await client.command(f"DROP TABLE IF EXISTS {before} SYNC")
    say(f"{table} is rebuilt")


async def _unreadable(client: AsyncClient, table: str) -> list[str]:
    """Parts of which not all can be read."""

    async def unreadable() -> list[str]:
        async with parts_held(client, table) as parts:
            return [part.name for part in parts if not await _is_readable(client, table, part.name)]

    return await tried(unreadable)


async def _is_readable(client: AsyncClient, table: str, part: str) -> bool:
    sql = f"SELECT count() FROM {table} WHERE _part = {{part:String}} AND NOT ignore(*)"  # noqa: S608 - a name of ours
    try:
        await client.query(sql, {"part": part})
    except ClickHouseError:
        return False
    return True


async def _copy(client: AsyncClient, table: str, where: str, values: dict[str, object], unreadable: list[str]) -> int:
    """How many rows of the table that was put aside were copied."""
    before = BEFORE + table
    old, new = await columns(client, before), await columns(client, table)
    names = ", ".join(f"`{name}`" for name in new if name in old)
    insert = f"INSERT INTO {table} ({names}) SELECT {names}"
    of = f"FROM {before} WHERE _part = {{part:String}} AND {where}"

    async def copied() -> int:
        async with parts_held(client, before) as parts:
            readable = [part.name for part in parts if part.name not in unreadable]
            return sum([await _copy_part(client, insert, of, {**values, "part": part}) for part in readable])

    return await tried(copied)


async def _copy_part(client: AsyncClient, insert: str, of: str, values: dict[str, object]) -> int:
    rows = int((await client.query(f"SELECT count() {of}", values)).result_rows[0][0])
    if rows:
        await client.command(f"{insert} {of}", values)
    return rows


def _not_in_kafka(
    settings: Settings, topic: topics.Topic, first: dict[int, int], end: dict[int, int]
) -> tuple[str, dict[str, object]]:
    """A condition, and its values."""
    if topic.retention_ms is None:
        return "1", {}
    spans = [f"(_partition = {p} AND _offset >= {first[p]} AND _offset < {end[p]})" for p in end]
    return f"NOT (_topic = {{topic:String}} AND ({' OR '.join(spans)}))", {"topic": topics.name(topic, settings)}


async def _erase_again(client: AsyncClient, settings: Settings, table: str) -> None:
    """An erasure that was under way may have passed the new table by before its rows were copied."""
    _, state = await definitions(settings)
    before = (IDENTITY, SEGMENTS, WEBHOOKS)
    for erasure in state.erasures.values():
        steps = list(state.erasure_steps[erasure.id].values())
        done = [done_ms(steps, store, settings.partitions) or erasure.erased_ms for store in before]
        await erase([client], erasure, max(done), only=table)


async def _wait(settings: Settings, reread: Reread, topic: topics.Topic, first: dict[int, int], say: Say) -> None:
    """Return when the sink has stored every record that it reads again."""
    name, say_at = topics.name(topic, settings), 0.0
    while True:
        left, taken = 0, False
        committed = {tp.partition: offset for tp, offset in (await committed_of(settings)).items() if tp.topic == name}
        for partition, until in reread.until.items():
            offset = committed.get(partition)
            place = first.get(partition, 0)
            if offset is not None and mark_of(offset.metadata).reread >= reread.id:
                place, taken = max(place, offset.offset), True
            left += max(0, until - place)
        if not left:
            return
        if time.monotonic() > say_at:
            say_at = time.monotonic() + SAY_S
            say(
                f"{left} records to read again" + ("" if taken else "; waiting for a sink (python -m sinks clickhouse)")
            )
        await asyncio.sleep(LOOK_S)
