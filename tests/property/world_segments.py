"""The segments stage without a broker: a world of partitions, a sink that keeps the newest version, event builders."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from processors.membership import contact_state
from processors.membership.conditions import Plan
from processors.membership.contact_state import Contact, Redirect
from processors.runtime.stage import InputRecord, OutputRecord, PartitionState
from processors.segments.stage import SegmentsStage
from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import ControlState, Segment, ValueList
from schemas.control.value_lists import ordered
from schemas.records import codec, identity
from schemas.records.records import Absorb, Change, Event, Identifier, Merge, Quarantined
from tests.property.oracle_segments import LISTS
from tests.property.store_segments import SegmentTables, Sink

WORKSPACE, ENVIRONMENT = "local", "production"
HOME = (WORKSPACE, ENVIRONMENT)
DAY = 86_400_000
HOUR = 3_600_000
NOW = 1_780_000_000_000
PARTITIONS = 3


def contact_of(kind: str, value: str) -> str:
    return identity.contact_id(WORKSPACE, ENVIRONMENT, kind, value)


_SAID = (
    ("set", "attributes"),
    ("set_once", "once"),
    ("consents", "consents"),
    ("consent_state", "state"),
    ("device", "device"),
)


def event(
    name: str = "seen",
    *,
    user: str = "ann",
    by: str = "external_id",
    at: int = NOW,
    received: int | None = None,
    event_id: str = "",
    kind: str = "track",
    reply_to: str = "",
    **fields: Any,
) -> Event:
    """``properties``, ``attributes`` (the profile's ``set``), ``once``, ``consents`` and ``device`` as plain values."""
    profile = {key: fields[name] for key, name in _SAID if name in fields}
    return Event(
        event_id=event_id or f"evt_{name}_{user}_{at}",
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        kind=kind,
        type=name,
        contact_id=contact_of(by, user) if user else "",
        identifiers=[Identifier(type=by, value=user)] if user else [],
        timestamp_ms=at,
        received_ms=at if received is None else received,
        properties=orjson.dumps(fields.get("properties", {})),
        context=b"",
        profile=orjson.dumps(profile) if profile else b"",
        campaign_id="",
        message_id="",
        variant="",
        channel="",
        source="test",
        key_id="",
        task_id="task" if reply_to else "",
        reply_to=reply_to,
    )


def merge(loser: tuple[str, str], winner: tuple[str, str], *, version: int = 1, at: int = NOW) -> Merge:
    return Merge(
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        loser=contact_of(*loser),
        winner=contact_of(*winner),
        version=version,
        at_ms=at,
        event_id=f"evt_merge_{version}",
        identifier=Identifier(type=loser[0], value=loser[1]),
    )


class SegmentsWorld:
    """One worker with all partitions; ``now`` is moved by the test."""

    def __init__(self, **rules: Any) -> None:
        self.control = ControlState()
        self.now = NOW - 60_000  # long enough ago for nothing to be in doubt
        self.store = SegmentTables()
        self.sink = Sink()
        self.sends: list[OutputRecord] = []
        self.quarantined: list[Quarantined] = []
        self.logs: dict[tuple[str, int], list[InputRecord]] = {}
        for name, values in LISTS.items():
            self.enlist(name, *values)
        for name, rule in rules.items():
            self.define(name, rule)
        self.restart()
        self.follow()
        self.now = NOW

    # --- the world

    def restart(self) -> None:
        """All memory is lost; the rows and what was sent stay."""
        self.stage = SegmentsStage(self.control, PARTITIONS)
        for partition in range(PARTITIONS):
            self.stage.on_assigned(partition, lambda table, p=partition: self.store.scan(table, p))  # type: ignore[misc]

    def define(self, name: str, rule: Any, version: int = 1) -> None:
        segment = Segment(
            id=name,
            workspace=WORKSPACE,
            environment=ENVIRONMENT,
            name=name,
            rule=rule,
            version=version,
            created_ms=NOW,
            updated_ms=NOW,
        )
        self.control.apply(*control_state.encode("segment", segment))

    def enlist(self, name: str, *values: Any, version: int = 1) -> None:
        """Make a named list, or give it other values."""
        fields = {"id": f"{ENVIRONMENT}/{name}", "name": name, "values": ordered(values), "version": version}
        home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW, "updated_ms": NOW}
        record = ValueList.model_validate({**fields, **home})
        self.control.apply(*control_state.encode("list", record))

    def remove(self, name: str) -> None:
        self.control.apply(control_state.record_key("segment", WORKSPACE, name), None)

    def follow(self) -> None:
        """Background work until there is none."""
        for partition in range(PARTITIONS):
            while self.stage.has_work(partition):
                self.idle(partition, lose=False)
        self.settle()

    def idle(self, partition: int, *, lose: bool) -> None:
        """One chunk of background work, if there is any."""
        if self.stage.has_work(partition):
            self._unit(partition, lambda state: self.stage.on_idle(state, self.now), lose=lose)

    def pass_time(self, ms: int) -> None:
        """Every timer on the way fires at its millisecond."""
        end = self.now + ms
        while (due := self.next_timer()) is not None and due <= end:
            self.now = max(self.now, due)
            self.fire()
            if self.next_timer() == due:
                self.now += 20  # it is held back, and asked again
        self.now = max(self.now, end)

    def jump(self, ms: int) -> None:
        """No timer fires on the way."""
        self.now += ms

    def fire(self, *, lose: bool = False) -> None:
        for partition in range(PARTITIONS):
            while (due := self.stage.next_timer(partition)) is not None and due <= self.now:
                self._unit(partition, lambda state: self.stage.on_timer(state, self.now), lose=lose)
                if lose:
                    return
                if self.stage.next_timer(partition) == due:
                    break  # it is held back

    def next_timer(self) -> int | None:
        return min((d for p in range(PARTITIONS) if (d := self.stage.next_timer(p)) is not None), default=None)

    # --- records

    def send(self, *events: Event, batch: int = 500) -> list[Change]:
        """Resolved events, and all that follows at once; what changed."""
        before = len(self.sink.changes)
        self.publish(*events, batch=batch)
        self.settle()
        return self.sink.changes[before:]

    def merge(self, *merges: Merge) -> list[Change]:
        before = len(self.sink.changes)
        for merge in merges:
            self.publish_merge(merge)
        self.settle()
        return self.sink.changes[before:]

    def publish(self, *events: Event, batch: int = 500) -> None:
        for partition in range(PARTITIONS):
            mine = [e for e in events if partition_of(e["contact_id"]) == partition]
            for start in range(0, len(mine), batch):
                self._append(topics.RESOLVED.name, partition, codec.encode_events(mine[start : start + batch]))

    def publish_merge(self, merge: Merge) -> None:
        self._append(topics.MERGES.name, partition_of(merge["loser"]), codec.encode_merge(merge))

    def settle(self) -> None:
        """Process until no log has anything left."""
        while waiting := self.waiting():
            for place in waiting:
                self.process(*place)

    def waiting(self) -> list[tuple[str, int]]:
        """Topics and partitions with records to come."""
        return [place for place, log in self.logs.items() if log]

    def process(self, topic: str, partition: int, most: int = 200, *, lose: bool = False) -> None:
        """The next records. ``lose``: the outputs are out, then the worker dies, so they will come again."""
        log = self.logs[topic, partition]
        records = log[:most]
        self._unit(partition, lambda state: self.stage.process(records, state, self.now), lose=lose)
        if not lose:
            del log[: len(records)]

    def _append(self, topic: str, partition: int, value: bytes) -> None:
        log = self.logs.setdefault((topic, partition), [])
        log.append(InputRecord(topic, partition, 0, None, value, self.now))

    def _unit(self, partition: int, work: Callable[[PartitionState], Iterable[OutputRecord]], *, lose: bool) -> None:
        state = PartitionState(partition, self.store)
        for send in work(state):
            self.sends.append(send)
            if send.topic == topics.CHANGES.name:
                assert send.partition == partition
                self.sink.take(send.value)
            elif send.topic == topics.QUARANTINE.name:
                self.quarantined.append(codec.decode_quarantined(send.value))
            else:
                assert send.partition == partition_of((send.key or b"").decode())
                self._append(send.topic, send.partition, send.value)
        if lose:
            self.now += 1  # nobody starts that fast
            self.restart()
        else:
            self.store.write(state)

    # --- what came of it

    def rows(self) -> Iterator[tuple[str, Contact | Redirect]]:
        for rows in self.store.rows.values():
            for key, row in rows.items():
                if not key.startswith(b"!"):
                    yield key.decode(), contact_state.load(row)

    def stage_plan(self) -> Plan:
        plans = self.stage._open[0].plans
        plans.refresh()
        return plans.of(*HOME)

    def contact(self, user: str = "ann", by: str = "external_id") -> Contact:
        row = dict(self.rows())[contact_of(by, user)]
        assert isinstance(row, Contact)
        return row

    def members(self) -> set[tuple[str, str]]:
        """As the state has it."""
        return {(key, s) for key, row in self.rows() if isinstance(row, Contact) for s in row.members}

    def segments_of(self, user: str = "ann", by: str = "external_id") -> set[str]:
        return {segment for contact, segment in self.sink.members if contact == contact_of(by, user)}

    def learnt(self) -> dict[str, Any]:
        """All contacts, without what follows from it, and without when a change was last seen: order decides that."""
        shown = {}
        for key, row in self.rows():
            if isinstance(row, Contact):
                contact_state.prune(row, self.stage_plan().keeps, list(row.counts), self.now)
                shown[key] = orjson.loads(orjson.dumps(row.learnt(), option=orjson.OPT_SORT_KEYS))
                del shown[key]["t"][1]
        return shown

    def snapshot(self, user: str = "ann", by: str = "external_id") -> dict[str, Any]:
        shown: dict[str, Any] = orjson.loads(self.sink.profiles[contact_of(by, user)][1]["profile"])
        return shown


def partition_of(contact_id: str) -> int:
    return identity.partition_of(contact_id, PARTITIONS) if contact_id else 0


def told(changes: Iterable[Change]) -> list[tuple[str, bool, str]]:
    """Segment, member and reason of each membership change."""
    return [(c["segment_id"], c["member"], c["reason"]) for c in changes if c["kind"] == "membership"]


def absorbs(sends: Iterable[OutputRecord]) -> list[Absorb]:
    return [codec.decode_absorb(send.value) for send in sends if send.topic == topics.ABSORBS.name]
