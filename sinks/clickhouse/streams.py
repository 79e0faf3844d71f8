"""A topic's records in; rows to insert, receipts to send and records to quarantine out. One stream a topic; pure.

1. Rows at or below a table's last stored place are stored already and are skipped, but their receipts are sent
   again: they may not have been sent before.
2. A receipt comes after the rows of its event and of all earlier records of the partition.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from schemas import topics
from schemas.records import codec, outcomes
from schemas.records.identity import own_contact_id
from schemas.records.records import APPLIED, STORED, Change, Event, Receipt
from schemas.records.sameness import event_key
from sinks.clickhouse.consent_rows import CONSENT_CHANGES
from sinks.clickhouse.dedupe import Deduplicator, EventPosition, Verdict, origin_of
from sinks.clickhouse.link_rows import LINKS, RETRACTED_LINKS
from sinks.clickhouse.outcome_rows import OUTCOMES, of_quarantined
from sinks.clickhouse.rows import (
    CONTACTS,
    DELIVERY_ATTEMPTS,
    DUPLICATES,
    EVENTS,
    MEMBERSHIP_CHANGES,
    OVERRIDES,
    QUARANTINE,
    REFUSED_LINKS,
    Item,
    Table,
)

START: Final = (-1, 0)
"""Below every place."""

Lane = tuple[str, int]
"""A table and the number of one of its lanes (``Writer.lanes``)."""

StoredPlaces = Callable[[Sequence[EventPosition]], Awaitable[dict[EventPosition, str]]]
"""Queries ClickHouse for the event ids of the rows at these places of `events`."""


@dataclass(slots=True)
class Part:
    """The state of one assigned partition: the last stored (offset, index) of each table, by lanes."""

    seen: Deduplicator
    stored: dict[Lane, tuple[int, int]] = field(default_factory=dict)
    lane_of: Callable[[str, Any], int] = lambda _table, _datum: 0

    def has(self, table: Table, item: Item) -> bool:
        lane = (table.name, self.lane_of(table.name, item.datum))
        return (item.offset, item.nth) <= self.stored.get(lane, START)

    def newest(self, table: Table) -> tuple[int, int]:
        """Returns the last place that any lane has stored."""
        return max((place for (name, _), place in self.stored.items() if name == table.name), default=START)


@dataclass(slots=True)
class Work:
    """The outcome of a block: inserts in their order (each group at the same time), then receipts by waiting edge."""

    inserts: list[dict[Table, list[Item]]] = field(default_factory=list)
    receipts: dict[str, list[Receipt]] = field(default_factory=lambda: defaultdict(list))
    unusable: list[tuple[Item, str]] = field(default_factory=list)


Sort = Callable[[list[Item], dict[int, Part], StoredPlaces], Awaitable[Work]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """``checkpoints`` are the tables whose last rows say where to go on after a restart."""

    topic: topics.Topic
    checkpoints: tuple[Table, ...]
    extra: tuple[Table, ...] = ()
    decode: Callable[[bytes], list[Any]]
    encode: Callable[[Any], bytes]
    """Encodes a datum as a record of its own, for quarantine."""
    sort: Sort
    remembers: bool = False
    """Whether event ids and origins matter."""

    @property
    def tables(self) -> tuple[Table, ...]:
        return (*self.checkpoints, *self.extra)


def _one(table: Table) -> Sort:
    async def sort(items: list[Item], parts: dict[int, Part], _stored: StoredPlaces) -> Work:
        return Work(inserts=[{table: [i for i in items if not parts[i.partition].has(table, i)]}])

    return sort


async def _sort_events(items: list[Item], parts: dict[int, Part], stored: StoredPlaces) -> Work:
    work = Work()
    fresh: list[Item] = []
    suspects: list[Item] = []
    again: list[Item] = []
    # no lane has a row beyond these places, so later ones need no query
    stored_to = {partition: part.newest(EVENTS) for partition, part in parts.items()}
    for item in items:
        partition, event = item.partition, item.datum
        if event["reply_to"]:
            work.receipts[event["reply_to"]].append(_receipt(event, STORED))
        if (item.offset, item.nth) <= stored_to[partition] and parts[partition].has(EVENTS, item):
            continue
        # for the row, which would compute it again; no record has this field
        event["own_contact_id"] = sender = own_contact_id(event)
        verdict = parts[partition].seen.classify(event, sender)
        if verdict is Verdict.DUPLICATE:
            again.append(item)
        elif verdict is not Verdict.REPLAYED:
            fresh.append(item)
            if verdict is Verdict.SUSPECT:
                suspects.append(item)
    if suspects:
        repeats = await stored([origin_of(item.datum) for item in suspects])
        fresh = [i for i in fresh if repeats.get(origin_of(i.datum)) != i.datum["event_id"]]
    # `events` last: its last row is the position to resume at, so the other rows must be stored before
    work.inserts.append({DUPLICATES: again})
    work.inserts.append({EVENTS: fresh})
    return work


async def _sort_links(items: list[Item], parts: dict[int, Part], _stored: StoredPlaces) -> Work:
    rows: dict[Table, list[Item]] = {LINKS: [], RETRACTED_LINKS: []}
    for item in items:
        table = RETRACTED_LINKS if item.datum.get("retract") else LINKS
        if not parts[item.partition].has(table, item):
            rows[table].append(item)
    return Work(inserts=[rows])


async def _sort_changes(items: list[Item], parts: dict[int, Part], _stored: StoredPlaces) -> Work:
    work = Work()
    tables: dict[str, tuple[Table, list[Item]]] = {
        "profile": (CONTACTS, []),
        "membership": (MEMBERSHIP_CHANGES, []),
        "consent": (CONSENT_CHANGES, []),
        "refused": (REFUSED_LINKS, []),
        outcomes.SUPPRESSED: (OUTCOMES, []),
    }
    for item in items:
        change: Change = item.datum
        table, rows = tables.get(change["kind"], (None, []))
        if table is not None:
            if table is OUTCOMES:
                try:
                    row = outcomes.of_change(change)
                    item = Item(item.partition, item.offset, item.nth, row)  # noqa: PLW2901 - what becomes a row of it
                except ValueError as error:
                    work.unusable.append((item, str(error)))
                    continue
            if not parts[item.partition].has(table, item):
                rows.append(item)
        elif change["kind"] != APPLIED:
            work.unusable.append((item, f"a change of unknown kind {change['kind'][:80]!r}"))
        elif reply_to := change.get("reply_to"):
            work.receipts[reply_to].append(_receipt(change, APPLIED))
    # memberships last: a contact in a segment can then be read with the data that put it there
    members = tables.pop("membership")
    work.inserts += [dict(tables.values()), dict([members])]
    return work


async def _sort_quarantine(items: list[Item], parts: dict[int, Part], _stored: StoredPlaces) -> Work:
    fresh = [item for item in items if not parts[item.partition].has(QUARANTINE, item)]
    # the record last: its row proves that its events' rows are in
    return Work(inserts=[{OUTCOMES: of_quarantined(fresh)}, {QUARANTINE: fresh}])


def _receipt(of: Event | Change, stage: str) -> Receipt:
    return {
        "event_id": of.get("event_id", "") if stage == APPLIED else event_key(of),  # type: ignore[arg-type]  # an event
        "task_id": of.get("task_id", ""),
        "stage": stage,
        "entered": of.get("entered", []) if stage == APPLIED else [],  # type: ignore[typeddict-item]
        "left": of.get("left", []) if stage == APPLIED else [],  # type: ignore[typeddict-item]
        "contact": of.get("profile", b"") if stage == APPLIED else b"",
    }


STREAMS: Final = (
    Stream(
        topic=topics.RESOLVED,
        checkpoints=(EVENTS,),
        extra=(DUPLICATES, OUTCOMES),
        decode=codec.decode_events,
        encode=lambda event: codec.encode_events([event]),
        sort=_sort_events,
        remembers=True,
    ),
    Stream(
        topic=topics.CHANGES,
        checkpoints=(CONTACTS, MEMBERSHIP_CHANGES, CONSENT_CHANGES, REFUSED_LINKS, OUTCOMES),
        decode=codec.decode_changes,
        encode=lambda change: codec.encode_changes([change]),
        sort=_sort_changes,
    ),
    Stream(
        topic=topics.LINKS,
        checkpoints=(LINKS, RETRACTED_LINKS),
        decode=codec.decode_links,
        encode=lambda link: codec.encode_links([link]),
        sort=_sort_links,
    ),
    Stream(
        topic=topics.MERGES,
        checkpoints=(OVERRIDES,),
        decode=lambda value: [codec.decode_merge(value)],
        encode=codec.encode_merge,
        sort=_one(OVERRIDES),
    ),
    Stream(
        topic=topics.ATTEMPTS,
        checkpoints=(DELIVERY_ATTEMPTS,),
        decode=codec.decode_attempts,
        encode=lambda attempt: codec.encode_attempts([attempt]),
        sort=_one(DELIVERY_ATTEMPTS),
    ),
    Stream(
        topic=topics.QUARANTINE,
        checkpoints=(QUARANTINE,),
        extra=(OUTCOMES,),
        decode=lambda value: [codec.decode_quarantined(value)],
        encode=codec.encode_quarantined,
        sort=_sort_quarantine,
    ),
)
