"""Two edges, identity, segments, sink and webhooks over logs in memory: what clients sent in, what each counts out."""

import random
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import orjson

from ingest.events.ack_cache import EventAckCache
from ingest.events.link_waiter import LINKED
from processors.membership.contact_state import Contact
from schemas import topics
from schemas.control.control_state import ControlState, encode
from schemas.record_batches import Headers
from schemas.records import codec, identity
from schemas.records.identity import own_contact_id
from schemas.records.mergemap import winner_of
from schemas.records.records import APPLIED, STORED, Event, Receipt
from schemas.records.sameness import counted_key, event_key, sender_of
from schemas.rules.aggregates import units_of
from sinks.clickhouse.dedupe import Deduplicator, EventPosition, origin_of
from sinks.clickhouse.rows import DUPLICATES, EVENTS, Item
from sinks.clickhouse.streams import STREAMS, Part
from sinks.webhooks.messages import of_event
from sinks.webhooks.subscriptions import plan, subscribed
from tests.property import world_identity, world_segments
from tests.support.edge import NOW_MS, SECRET, MemoryLog, RecordedReads, client_of, memory_edge
from tests.support.webhook_sender import webhook

ROOM = 800
"""Bytes in which an edge remembers one event."""
RESOLVED = next(stream for stream in STREAMS if stream.remembers)
PARTITIONS = world_identity.PARTITIONS
COUNTED = ("order", "seen")


class Log(MemoryLog):
    """Answers at once whoever waits for a receipt: what an edge remembers is asked here, not how long it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.receipts: Any = None

    async def publish(self, partition: int, record: bytes, headers: Headers) -> None:
        await super().publish(partition, record, headers)
        for event in codec.decode_events(record):
            if event["reply_to"]:
                lines = [
                    Receipt(event_id=event_key(event), task_id=event["task_id"], stage=stage, entered=[], left=[])
                    for stage in (STORED, APPLIED)
                ]
                value = codec.encode_receipts(lines)
                self.receipts.apply(SimpleNamespace(key=event["reply_to"].encode(), value=value))


class Edges:
    """Two of them; each request goes to one, and each may lose its memory."""

    def __init__(self, home: Path) -> None:
        self.now_ms = NOW_MS
        self.log = Log()
        self.edges = [memory_edge(home / name, self.log, partitions=PARTITIONS) for name in ("one", "two")]
        self._clients: list[httpx.AsyncClient] = []
        for edge in self.edges:
            edge.clock = lambda: self.now_ms
            # which merges can be read is no matter of sameness
            reads = RecordedReads({LINKED: [200, {"linked": True, "warnings": []}]})
            self._clients.append(client_of(edge, reads))

    def begin(self, remembers: int) -> None:
        self.log.records.clear()
        for number in range(len(self.edges)):
            self.restart(number, remembers)

    def restart(self, number: int, remembers: int) -> None:
        self.edges[number].ack_cache = EventAckCache(remembers * ROOM)

    async def send(self, number: int, path: str, events: list[dict[str, Any]]) -> None:
        self.now_ms += 7
        self.log.receipts = self.edges[number].receipts
        client = self._clients[number]
        if path == "/v1/events/batch" or path.startswith("/v1/events/batch?"):
            answers = [await client.post(path, json=events, headers=SECRET)]
        elif path == "/v1/batch":
            answers = [await client.post(path, json={"batch": [_segment(e) for e in events]}, headers=SECRET)]
        else:
            calls = [_segment(event) if path == "/v1/track" else event for event in events]
            answers = [await client.post(path, json=event, headers=SECRET) for event in calls]
        for answer in answers:
            assert answer.status_code in (200, 202), answer.text

    async def close(self) -> None:
        for client, edge in zip(self._clients, self.edges, strict=True):
            await client.aclose()
            edge.idempotency.close()


def _segment(event: dict[str, Any]) -> dict[str, Any]:
    names = {"event_id": "messageId", "user_id": "userId", "anonymous_id": "anonymousId", "type": "event"}
    return {"type": "track", **{names.get(name, name): value for name, value in event.items()}}


class Counts:
    """What each part made of the records of `events`."""

    def __init__(self, records: list[tuple[int, bytes]], rng: random.Random) -> None:
        self._rng = rng
        self.identity = world_identity.IdentityWorld()
        for partition, record in records:
            self.identity.logs[topics.EVENTS.name, partition].append(record)
        self._resolve()
        self.resolved = [
            [event for value in self.identity.logs[topics.RESOLVED.name, p] for event in codec.decode_events(value)]
            for p in range(PARTITIONS)
        ]
        self.truth: dict[str, Event] = {}
        for _, record in records:
            for event in codec.decode_events(record):
                self.truth.setdefault(event_key(event), event)

    def _resolve(self) -> None:
        places = [(topic, p) for topic in world_identity.INPUTS for p in range(PARTITIONS)]
        for _ in range(30):
            crash = self._rng.choice(world_identity.CRASHES)
            self.identity.work(*self._rng.choice(places), self._rng.randrange(1, 4), crash, self._rng)
            if self._rng.random() < 0.2:
                self.identity.rebalance(self._rng.randrange(PARTITIONS))
        self.identity.settle()

    def owner(self, event: Event) -> str:
        own = own_contact_id(event)
        partition = identity.partition_of(own, PARTITIONS)
        row = self.identity.changelog.reader(topics.IDENTITY_MAP, partition)(own.encode())
        return own if row is None else winner_of(row)

    # --- the sink

    async def rows(self) -> tuple[dict[tuple[str, ...], Event], int]:
        """The rows that the table keeps, by its sorting key, and the number of duplicates."""
        kept: dict[tuple[str, ...], Event] = {}
        again: set[EventPosition] = set()
        stored: dict[EventPosition, str] = {}
        for partition, events in enumerate(self.resolved):
            part = Part(Deduplicator(2))
            for offset, event in enumerate(events):
                if self._rng.random() < 0.2:
                    part = Part(Deduplicator(2))  # it starts anew, and remembers nothing
                item = Item(partition, offset, 0, event)

                async def places(places_of: Iterable[EventPosition]) -> dict[EventPosition, str]:
                    return {place: stored[place] for place in places_of if place in stored}

                work = await RESOLVED.sort([item], {partition: part}, cast("Any", places))
                for group in work.inserts:
                    again |= {origin_of(i.datum) for i in group.get(DUPLICATES, ())}
                    for entry in group.get(EVENTS, ()):
                        stored[origin_of(entry.datum)] = entry.datum["event_id"]
                        _keep(kept, entry.datum)
        return kept, len(again)

    # --- segments

    def segments(self) -> dict[str, dict[str, list[int]]]:
        """Of each contact the counted events by key: time and total."""
        world = world_segments.SegmentsWorld(
            **{name: {"event": name, "sum": {"property": "total", "op": "gte", "value": 10**6}} for name in COUNTED}
        )
        world.now = NOW_MS + 10**6
        steps: list[Any] = [iter(events) for events in self.resolved]
        steps += [
            iter([codec.decode_merge(value) for value in self.identity.logs[topics.MERGES.name, p] if value])
            for p in range(PARTITIONS)
        ]
        while steps:
            step = self._rng.choice(steps)
            step_taken = next(step, None)
            if step_taken is None:
                steps.remove(step)
            elif "loser" in step_taken:
                world.publish_merge(step_taken)
            else:
                world.publish(step_taken)
            if self._rng.random() < 0.2 and (waiting := world.waiting()):
                world.process(*self._rng.choice(waiting), 2, lose=self._rng.random() < 0.5)
        world.settle()
        names = {condition.id: name for name, some in world.stage_plan().by_event.items() for condition in some}
        counts: dict[str, dict[str, list[int]]] = {}
        for contact, row in world.rows():
            if isinstance(row, Contact):
                series = {}
                for condition, columns in row.counts.items():
                    for time_ms, key, value in zip(*columns, strict=True):
                        series[f"{names[condition]} {key}"] = [time_ms, value]
                if series:
                    counts[contact] = series
        return counts

    def counted(self) -> dict[str, dict[str, list[int]]]:
        """The same of the truth."""
        counts: dict[str, dict[str, list[int]]] = {}
        for event in self.truth.values():
            if event["type"] in COUNTED and event["identifiers"]:
                total = orjson.loads(event["properties"])["total"]
                key = f"{event['type']} {counted_key(event['event_id'], sender_of(event))}"
                counts.setdefault(self.owner(event), {})[key] = [event["timestamp_ms"], units_of(total) or 0]
        return counts

    # --- webhooks

    def deliveries(self) -> dict[str, bytes]:
        """Properties by the id of a delivery; only what identity told twice, after a crash, gives an id twice."""
        control = ControlState()
        control.apply(*encode("webhook", webhook("http://127.0.0.1/", created_ms=NOW_MS)))
        bodies: dict[str, bytes] = {}
        origins: dict[str, EventPosition] = {}
        for events in self.resolved:
            for event in events:
                for row in plan(of_event(event), subscribed(control), known_ms=NOW_MS, now_ms=NOW_MS, seq=lambda: 1):
                    assert origins.setdefault(row["id"], origin_of(event)) == origin_of(event)
                    bodies.setdefault(row["id"], bytes(orjson.dumps(orjson.loads(row["body"])["data"]["properties"])))
        return bodies


def _keep(kept: dict[tuple[str, ...], Event], event: Event) -> None:
    names = ("workspace", "environment", "campaign_id", "type", "event_id")
    key = (*(event[name] for name in names), sender_of(event))  # type: ignore[literal-required]
    if key not in kept or event["received_ms"] < kept[key]["received_ms"]:
        kept[key] = event
