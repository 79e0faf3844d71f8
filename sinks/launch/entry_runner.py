"""Entries that wait on the disk in; the events of their messages, and how many there were, out.

1. An entry waits until ClickHouse shows what the contact was when it entered: until its sink has committed the change.
   After an hour it goes by what there is; a sink's group may have been reset.
2. A message's event is durable before its entry is taken away. A crash in between makes it again, with the same id.
3. Counts are kept per campaign and may count an entry twice that a crash repeated; messages never are.
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas import topics
from schemas.control.control_state import ControlState, encode
from schemas.control.launch_jobs import KIND, LaunchJobs
from schemas.records.identity import partition_of
from schemas.records.records import Event
from schemas.service import clock
from schemas.settings import Settings
from schemas.times import HOUR_MS
from sinks.launch.connections import Connections
from sinks.launch.entry import LaunchEntry, standing_job
from sinks.launch.messages import requested
from sinks.launch.verdicts import HERE, LISTED, verdicts

log = logging.getLogger(__name__)

MOST = 5000
LOOK_S, RETRY_S = 0.1, 0.5
PATIENCE_MS = HOUR_MS
GONE_S = 60.0
GRACE_MS = 10_000
"""How long a contact may lack an address or a consent: those that came with it are tied to it a moment later."""
_WINNERS = f"SELECT loser, winner FROM contact_overrides FINAL WHERE {HERE} AND loser IN {{ids:Array(String)}}"  # noqa: S608 - constants


class EntryStore(Protocol):
    def waiting_entries(self, most: int) -> list[LaunchEntry]:
        """Returns at most so many waiting entries."""


class EntryRunner:
    """Launches campaigns for contacts that enter a segment; runs in the sender of webhooks."""

    def __init__(
        self, settings: Settings, control: ControlState, jobs: LaunchJobs, store: EntryStore, connections: Connections
    ) -> None:
        self._settings = settings
        self._control = control
        self._jobs = jobs
        self._store = store
        self._connections = connections
        self._gone: dict[bytes, float] = {}
        """Keys that were taken away a moment ago: the disk follows Kafka."""

    async def run(self) -> None:
        """Run for ever; logs errors and retries."""
        while True:
            entries = [entry for entry in self._store.waiting_entries(MOST) if entry.key not in self._gone]
            try:
                for group in _grouped(entries):
                    await self._launch(group)
            except (ClickHouseError, KafkaError, TimeoutError, OSError) as error:
                log.warning("launches on entry: retrying in %.1f s: %s", RETRY_S, str(error)[:500])
                await self._connections.close()
                await asyncio.sleep(RETRY_S)
            until = time.monotonic() - GONE_S
            self._gone = {key: at for key, at in self._gone.items() if at > until}
            await asyncio.sleep(LOOK_S)

    async def _launch(self, group: Sequence[LaunchEntry]) -> None:
        """Decide the entries of a campaign and segment that can be decided now."""
        first, now_ms = group[0], clock.now_ms()
        stored = await self._connections.stored()
        ready = [e for e in group if stored.get(e.partition, -1) > e.offset or now_ms > e.at_ms + PATIENCE_MS]
        if not ready:
            return
        ids = [entry.contact for entry in ready]
        winners = {row[0]: row[1] for row in await self._rows(first, _WINNERS, ids=ids)}
        events, skipped, later = await self._decided(
            ready, lambda entry: winners.get(entry.contact, entry.contact), now_ms
        )
        ready = [entry for entry in ready if entry.key not in later]
        if not ready:
            return
        await self._connections.publish(events)
        await self._count(first, len(events), skipped)
        name = topics.name(topics.LAUNCHES, self._settings)
        producer = await self._connections.kafka()
        count = topics.partition_count(topics.LAUNCHES, self._settings)
        sends = [
            await producer.send(name, None, key=entry.key, partition=partition_of(entry.contact, count))
            for entry in ready
        ]
        await asyncio.gather(*sends)
        self._gone |= dict.fromkeys((entry.key for entry in ready), time.monotonic())

    async def _decided(
        self, ready: Sequence[LaunchEntry], owner: Callable[[LaunchEntry], str], now_ms: int
    ) -> tuple[list[Event], Counter[str], set[bytes]]:
        """Returns the messages, the number of skipped entries by reason, and the keys of entries to try again."""
        home = self._control.campaigns[ready[0].workspace, ready[0].environment]
        campaign = home.get(ready[0].campaign)
        if campaign is None or not campaign.delivery:
            return [], Counter(gone=len(ready)), set()
        at_ms = min(entry.at_ms for entry in ready)
        query = verdicts(
            campaign, home.values(), LISTED, launch_id=ready[0].job.id, at_ms=at_ms, override_consent=False
        )
        client = await self._connections.clickhouse()
        result = await client.query(query.sql, query.parameters | {"audience": [owner(entry) for entry in ready]})
        rows: dict[str, Mapping[str, Any]] = {row["contact_id"]: row for row in result.named_results()}
        events, skipped, later = [], Counter[str](), set()
        for entry in ready:
            row = rows.get(owner(entry))
            reason = "gone" if row is None else row["skip"]
            if (row is None or reason) and now_ms < entry.at_ms + GRACE_MS:
                later.add(entry.key)
            elif row is None or reason:
                skipped[reason] += 1
            else:
                events.append(requested(entry.job, campaign, row, now_ms, entered_as=entry.contact))
        return events, skipped, later

    async def _count(self, first: LaunchEntry, launched: int, skipped: Counter[str]) -> None:
        new = standing_job(first)
        job = self._jobs.get(first.workspace, first.environment, new.id) or new
        counts = {"launched": job.launched + launched, "skipped": dict(Counter(job.skipped) + skipped)}
        job = job.model_copy(update={**counts, "audience": new.audience})
        job = job.model_copy(update={"total": job.done})
        key, value = encode(KIND, job)
        producer = await self._connections.kafka()
        await producer.send_and_wait(topics.name(topics.CONTROL, self._settings), value, key=key)
        self._jobs.apply(key, value)

    async def _rows(self, entry: LaunchEntry, query: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        client = await self._connections.clickhouse()
        home = {"workspace": entry.workspace, "environment": entry.environment}
        return (await client.query(query, home | parameters)).result_rows


def _grouped(entries: Iterable[LaunchEntry]) -> list[list[LaunchEntry]]:
    groups: defaultdict[tuple[str, ...], list[LaunchEntry]] = defaultdict(list)
    for entry in entries:
        groups[entry.workspace, entry.environment, entry.campaign, entry.segment].append(entry)
    return list(groups.values())
