"""Erasures on `control` in; no row of their contacts in any table, and the answer on `control`, out.

1. Rows go at once, and once more when identity and segments have answered and everything that they had sent until
   then is stored. Then it answers; without an answer, a restart repeats the erasure. The events' own rows go with
   the second pass only: they tell which records in quarantine, which may come in between, are the contact's.
2. The inserters skip its records when they read Kafka again (`sinks/clickhouse/inserter.py`).
3. Rows are rewritten, not marked: when the answer is given, the bytes of the active parts are gone.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import ControlState
from schemas.control.definitions import Erasure
from schemas.control.erasure import CLICKHOUSE, IDENTITY, SEGMENTS, WEBHOOKS, done_ms, step_of
from schemas.records.outcomes import SUPPRESSED
from schemas.retry import Backoff
from schemas.service import clock
from schemas.service.kafka import Tail, started_producer
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from sinks.clickhouse.connect import FOREVER_S, writing
from sinks.clickhouse.streams import STREAMS
from sinks.maintenance import mutations
from sinks.maintenance.cluster import wait_for_shards
from sinks.maintenance.mutations import MutationFailedError

log = logging.getLogger(__name__)

_IDS = "{ids:Array(String)}"
_HERE = "workspace = {workspace:String}"
_HOME = f"{_HERE} AND environment = {{environment:String}}"
_OF = f"contact_id IN {_IDS}"
_UNTIL = " <= fromUnixTimestamp64Milli({until:Int64})"
_SETTLED = " <= fromUnixTimestamp64Milli({settled:Int64})"
_EVENT_IDS = "{events:Array(String)}"
_PERSON = "concat(type, '/', value) IN {people:Array(String)}"
CONDITIONS: tuple[tuple[str, str], ...] = (
    # first the tables whose rows are found through the rows of later ones
    ("duplicates", f"own_contact_id IN {_IDS} AND received_at{_UNTIL}"),
    ("quarantine", f"({_HERE} AND event_id IN {_EVENT_IDS} OR multiSearchAny(payload, {_IDS})) AND at{_SETTLED}"),
    ("refused_links", f"({_OF} OR {_PERSON}) AND at{_UNTIL}"),
    ("delivery_attempts", f"({_OF} OR multiSearchAny(request_body, {_IDS})) AND at{_SETTLED}"),
    ("consent_changes", f"{_OF} AND at{_UNTIL}"),
    *((name, f"{_OF} AND at{_SETTLED}") for name in ("membership_changes", "memberships", "contact_memberships")),
    *(
        (name, f"(loser IN {_IDS} OR winner IN {_IDS}) AND at{_UNTIL}")
        for name in ("contact_overrides", "contact_merges")
    ),
    *((name, f"(a_id IN {_IDS} OR b_id IN {_IDS}) AND at{_UNTIL}") for name in ("links", "retracted_links")),
    ("events", f"(own_contact_id IN {_IDS} OR {_OF}) AND received_at{_UNTIL}"),
    ("contacts", f"{_OF} AND (created_at{_UNTIL} OR merged_into IN {_IDS})"),
)
"""Which rows are a contact's as it was. No subqueries: a replicated table refuses a mutation that has one."""

_EVENTS = (
    f"SELECT DISTINCT event_id FROM quarantine WHERE {_HERE} AND at{_SETTLED} AND event_id IN"  # noqa: S608 - constants
    f" (SELECT event_id FROM events WHERE {_HOME} AND own_contact_id IN {_IDS} AND received_at{_UNTIL})"
    " LIMIT 1000"
)
"""Some of its events in quarantine: there may be more when these are gone."""
_PEOPLE = (
    f"SELECT DISTINCT concat(one.1, '/', one.2) FROM (SELECT arrayJoin(identifiers) AS one FROM contacts"  # noqa: S608 - constants
    f" WHERE {_HOME} AND {_OF})"
)

EVENTS = "events"
COUNTED = frozenset({EVENTS, "duplicates"})
"""Tables that the ledger counts: it keeps the place of a deleted row, so that its minute stays balanced."""
_NOTE = (
    "INSERT INTO event_outcomes"
    " (workspace, environment, source, received_at, outcome, _origin_partition, _origin_offset, _origin_index)"
    f" SELECT workspace, environment, source, received_at, '{SUPPRESSED}',"
    " _origin_partition, _origin_offset, _origin_index"
)

RETRY_S, LONGEST_RETRY_S = 0.5, 60.0
"""The pause grows while the database cannot rewrite rows, for example because its disk is full."""
_LOOK_S = 0.1


async def erase(
    clients: Sequence[AsyncClient], erasure: Erasure, settled_ms: int, keep: str = "", only: str = ""
) -> None:
    """Return when no table (but ``keep``, or ``only`` that one) of any of these hosts has a row of it.

    ``settled_ms`` is when the stages had forgotten. May be repeated.
    """
    values: dict[str, Any] = {"ids": list(erasure.contacts), "until": erasure.erased_ms, "settled": settled_ms}
    values |= {"workspace": erasure.workspace, "environment": erasure.environment}
    # by all hosts before the first one forgets: a refused link may lie on another shard than its contact
    people = [(await client.query(_PEOPLE, values)).result_rows for client in clients]
    values["people"] = sorted({name for rows in people for (name,) in rows})
    for client in clients:
        for table, condition in CONDITIONS:
            if table != keep and only in ("", table):
                await _erase_from(client, table, condition, values, erasure.contacts[0])


async def _erase_from(client: AsyncClient, table: str, condition: str, values: dict[str, Any], mark: str) -> None:
    # the environment is part of the primary key, which makes the search fast; quarantine has no environment
    where = condition if table == "quarantine" else f"{_HOME} AND {condition}"
    counted = f"SELECT count() FROM {table} WHERE {where}"  # noqa: S608 - constants
    # more than once where a mutation of an earlier try, with an earlier time, is still under way
    while True:
        if table == "quarantine":
            values["events"] = [name for (name,) in (await client.query(_EVENTS, values)).result_rows]
        if not (await client.query(counted, values)).result_rows[0][0]:
            return
        if table in COUNTED:
            await client.command(f"{_NOTE} FROM {table} WHERE {where}", values)
        await mutations.run(client, table, f"ALTER TABLE {table} DELETE WHERE {where}", values, mark)


class Eraser:
    """Carries out erasures in ClickHouse; runs in the first sink."""

    def __init__(self, settings: Settings, control: ControlState) -> None:
        self._settings = settings
        self._control = control
        self._begun: set[str] = set()
        self._backoff = Backoff(RETRY_S, LONGEST_RETRY_S)

    async def run(self) -> None:
        """Runs for ever; logs errors and retries."""
        # of a cluster each replica: rows are erased when they are gone from all of them
        hosts = [host for shard in await wait_for_shards(self._settings) for host in shard]
        self._clients = [await writing(host, FOREVER_S) for host in hosts]
        self._producer = await started_producer(self._settings)
        self._asker = AIOKafkaConsumer(
            **connection(self._settings),
            group_id=topics.app_id(topics.CLICKHOUSE_GROUP, self._settings),
            enable_auto_commit=False,
        )
        await self._asker.start()
        try:
            while True:
                for erasure in [e for e in self._control.erasures.values() if self._is_open(e)]:
                    await self._try(erasure)
                await asyncio.sleep(_LOOK_S)
        finally:
            await self._asker.stop()
            await self._producer.stop()
            for client in self._clients:
                await client.close()

    def _is_open(self, erasure: Erasure) -> bool:
        return done_ms(self._control.erasure_steps[erasure.id].values(), CLICKHOUSE, 1) is None

    async def _try(self, erasure: Erasure) -> None:
        try:
            await self._advance(erasure)
        except (ClickHouseError, KafkaError, MutationFailedError) as error:
            log.error("erasure %s failed, retrying in %.1f s: %s", erasure.id, self._backoff.next_s, str(error)[:500])  # noqa: TRY400
            await self._backoff.pause()
            with suppress(ClickHouseError):
                await mutations.kill_orphans(self._clients[0])
        else:
            self._backoff.reset()

    async def _advance(self, erasure: Erasure) -> None:
        if erasure.id not in self._begun:
            await self._erase(erasure, erasure.erased_ms, EVENTS)
            self._begun.add(erasure.id)
        steps = list(self._control.erasure_steps[erasure.id].values())
        before = (IDENTITY, SEGMENTS, WEBHOOKS)
        done = [done_ms(steps, store, self._settings.partitions) for store in before]
        if any(at_ms is None for at_ms in done) or not await self._is_stored():
            return
        await self._erase(erasure, max(at_ms or 0 for at_ms in done))
        step = step_of(erasure, CLICKHOUSE, 0, clock.now_ms())
        key, value = control_state.encode("erasure_step", step)
        await self._producer.send_and_wait(topics.name(topics.CONTROL, self._settings), value, key=key)
        self._control.apply(key, value)

    async def _erase(self, erasure: Erasure, settled_ms: int, keep: str = "") -> None:
        await erase(self._clients, erasure, settled_ms, keep)

    async def _is_stored(self) -> bool:
        """Wait until all present records are committed, which is after they were stored."""
        names = [topics.name(stream.topic, self._settings) for stream in STREAMS]
        parts = [TopicPartition(name, p) for name in names for p in range(self._settings.partitions)]
        first = await self._asker.beginning_offsets(parts)
        end = await self._asker.end_offsets(parts)
        open_ones = [tp for tp in parts if end[tp] > first[tp]]
        deadline = time.monotonic() + 30
        while open_ones and time.monotonic() < deadline:
            committed = {tp: await self._asker.committed(tp) for tp in open_ones}
            open_ones = [tp for tp in open_ones if (committed[tp] or 0) < end[tp]]
            if open_ones:
                await asyncio.sleep(_LOOK_S)
        return not open_ones


async def following(
    settings: Settings,
    apply: Sequence[Callable[[bytes | None, bytes | None], None]],
    run: Callable[[], Coroutine[None, None, None]],
) -> None:
    """Run with `control` complete, and followed from then on."""

    def take(record: Any) -> None:
        for apply_record in apply:
            apply_record(record.key, record.value)

    tail = Tail(settings, topics.CONTROL, take)
    await tail.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tail.ended())
            tasks.create_task(run())
    finally:
        await tail.stop()
