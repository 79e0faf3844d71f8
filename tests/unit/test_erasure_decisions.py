"""What an erasure takes and what it leaves: by time, by identifier, in each stage, also when it is repeated."""

from typing import Any

import orjson
import pytest

from processors.identity import erase as identity_erase
from processors.identity import graph
from processors.identity.stage import IdentityStage
from processors.membership import contact_state
from processors.runtime.stage import InputRecord, OutputRecord, PartitionState
from processors.segments import erase as segments_erase
from processors.segments.stage import SegmentsStage
from schemas import topics
from schemas.api import serialize
from schemas.control import control_state, erasure
from schemas.control.control_state import ControlState, Erasure
from schemas.control.erasure import Erased
from schemas.records import codec
from schemas.records.records import Change, Event
from schemas.times import DAY_MS
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, MemoryTables, cid, event, link

A, B, C = "external_id:u1", "email:e@x.y", "anonymous_id:a1"
ONE = 1
"""Partitions: everything meets."""


def erased(*names: str, at_ms: int = NOW_MS, name: str = "ers_1") -> Erasure:
    ids = tuple(cid(name) for name in names)
    return Erasure(
        id=name, workspace=WORKSPACE, environment=ENVIRONMENT, created_ms=at_ms, contacts=ids, erased_ms=at_ms
    )


@pytest.mark.parametrize(
    ("datum", "is_covered"),
    [
        (event(A), True),
        (event(A, received_ms=NOW_MS + 1), False),
        (event(C), False),
        (event(C, contact_id=cid(A)), True),
        (link(C, A), True),
        (link(A, C), True),
        (link(C, A, at_ms=NOW_MS + 1), False),
        ({"loser": cid(C), "winner": cid(A), "at_ms": NOW_MS}, True),
        ({"loser": cid(A), "winner": cid(C), "at_ms": NOW_MS + 1}, False),
        ({"contact_id": cid(A), "at_ms": NOW_MS}, True),
        ({"contact_id": "", "at_ms": 0}, False),
    ],
)
def test_what_was_said_of_a_contact_until_then_is_covered(datum: Any, is_covered: bool) -> None:
    erased_contacts = Erased()
    assert not erased_contacts.covers(datum)
    erased_contacts.add(erased(A, B))
    assert erased_contacts.covers(datum) is is_covered


def test_of_two_erasures_the_later_holds_whatever_their_order() -> None:
    first, second = erased(A), erased(A, at_ms=NOW_MS + 9, name="ers_2")
    for order in ((first, second), (second, first)):
        erased_contacts = Erased()
        for erasure_record in order:
            erased_contacts.add(erasure_record)
        assert erased_contacts.covers_id(cid(A), NOW_MS + 9)
        assert not erased_contacts.covers_id(cid(A), NOW_MS + 10)


def test_it_is_done_when_every_store_and_partition_says_so() -> None:
    erasure_record = erased(A)
    expected = [(store, p) for store in erasure.STORES for p in range(2 if store in erasure.PARTITIONED else 1)]
    steps: list[Any] = []
    for store, partition in expected:
        assert serialize.erasure(erasure_record, steps, 2, NOW_MS)["status"] == "pending"
        steps.append(erasure.step_of(erasure_record, store, partition, NOW_MS + len(steps)))
    shown = serialize.erasure(erasure_record, steps, 2, NOW_MS)
    assert shown["status"] == "done"
    kafka = {s["store"]: s["status"] for s in shown["stores"] if s["store"].startswith("kafka:")}
    assert set(kafka.values()) == {"expiring"}
    assert "kafka:merges" not in kafka
    late = serialize.erasure(erasure_record, steps, 2, NOW_MS + 91 * DAY_MS)
    assert {s["status"] for s in late["stores"]} == {"done"}


class Identity:
    """One partition of the stage; what it sends to its own inputs comes back to it."""

    def __init__(self) -> None:
        self.control = ControlState()
        self.stage = IdentityStage(self.control, ONE)
        self.tables = MemoryTables()
        self.resolved: list[str] = []
        self.offset = 0
        self.log: list[tuple[str, bytes]] = []

    def feed(self, topic: str, value: bytes) -> None:
        self.log.append((topic, value))
        self.offset += 1
        state = PartitionState(0, self.tables)
        self.take(self.stage.process([InputRecord(topic, 0, self.offset, None, value, NOW_MS)], state, NOW_MS), state)

    def idle(self) -> list[OutputRecord]:
        state = PartitionState(0, self.tables)
        sends = self.stage.on_idle(state, NOW_MS)
        self.take([], state)
        return sends

    def take(self, sends: list[OutputRecord], state: PartitionState) -> None:
        self.tables.apply(0, state.writes)
        for send in sends:
            if send.topic == topics.RESOLVED.name:
                self.resolved += [event["contact_id"] for event in codec.decode_events(send.value)]
            elif send.value and send.topic in (topics.LINKS.name, topics.MERGES.name):
                self.feed(send.topic, send.value)

    def event(self, *names: str, at_ms: int = NOW_MS, event_id: str = "evt_1") -> str:
        self.feed(topics.EVENTS.name, codec.encode_events([event(*names, received_ms=at_ms, event_id=event_id)]))
        return self.resolved[-1]

    def erase(self, erasure: Erasure) -> None:
        self.control.apply(*control_state.encode("erasure", erasure))

    def rows(self) -> bytes:
        tables = (topics.IDENTITY_MAP, topics.IDENTITY_PAIRS, topics.RESOLVER_GRAPH)
        state = PartitionState(0, self.tables)
        return b" ".join(part for table in tables for row in state.scan(table) for part in row)


def test_identity_forgets_a_merged_contact_and_no_replay_brings_it_back() -> None:
    world = Identity()
    world.event(C)
    world.event(A, C, event_id="evt_2")
    world.event("external_id:other", "email:o@x.y", event_id="evt_3")
    assert world.event(C) == cid(A)
    world.erase(erased(A, C))
    assert world.stage.has_work(0)
    tombstones = {send.key for send in world.idle() if send.topic == topics.MERGES.name and not send.value}
    assert tombstones == {cid(A).encode(), cid(C).encode()}
    for word in (cid(A), cid(C), "u1", "a1"):
        assert word.encode() not in world.rows(), word
    assert b"o@x.y" in world.rows()
    before, count = list(world.log), len(world.resolved)
    for topic, value in before:
        world.feed(topic, value)
    assert b"u1" not in world.rows()
    assert all(contact_id not in (cid(A), cid(C)) for contact_id in world.resolved[count:])
    assert world.event(C, at_ms=NOW_MS + 1) == cid(C)
    assert world.event(A, C, at_ms=NOW_MS + 2) == cid(A)
    assert world.event(C, at_ms=NOW_MS + 3) == cid(A)


def test_a_repeat_before_the_answer_came_back_leaves_the_new_beginning() -> None:
    world = Identity()
    world.event(A, C)
    world.erase(erased(A, C))
    world.idle()
    world.event(A, C, at_ms=NOW_MS + 1)
    kept = world.rows()
    confirmations = [send for send in world.idle() if send.topic == topics.CONTROL.name]
    assert orjson.loads(confirmations[0].value)["erasure"] == "ers_1"
    assert world.rows() == kept
    assert not world.stage.has_work(0)
    # a worker that starts anew and has not read the answer yet
    world.control.erasure_steps.clear()
    world.idle()
    assert world.rows() == kept


def test_what_else_a_component_holds_stays() -> None:
    world = Identity()
    world.event(A, C)
    world.event(A, B, event_id="evt_2")
    state = PartitionState(0, world.tables)
    identity_erase._cut(state, erased(C))
    left = [graph.load(row) for table in state.writes.values() for row in table.values() if row]
    assert {node for component in left for node in component.members} <= {cid(A), cid(B)}
    assert any({cid(A), cid(B)} <= component.members.keys() for component in left)


def test_segments_count_versions_on_from_before_the_erasure() -> None:
    control, tables = ControlState(), MemoryTables()
    table, key = topics.SEGMENT_STATES, cid(A).encode()
    contact = contact_state.Contact(WORKSPACE, ENVIRONMENT)
    contact.revision, contact.created = 77, NOW_MS
    contact.identifiers = {"external_id": {"u1": [NOW_MS, "evt_1"]}}
    tables.apply(0, {table: {key: contact_state.dump(contact), b"cnt_other": contact_state.dump(contact)}})
    control.apply(*control_state.encode("erasure", erased(A)))
    state = PartitionState(0, tables)
    segments_erase.erase(control, state, ONE)
    assert not segments_erase.answers(control, PartitionState(0, tables), NOW_MS)
    tables.apply(0, state.writes)
    left = dict(PartitionState(0, tables).scan(table))
    assert key not in left
    assert left[b"!erased/" + key][8:] == b"77"
    assert left[b"cnt_other"] == contact_state.dump(contact)
    again = PartitionState(0, tables)
    tables.apply(0, {table: {key: contact_state.dump(contact)}})
    segments_erase.erase(control, again, ONE)
    assert not again.writes
    assert len(segments_erase.answers(control, again, NOW_MS)) == 1


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_new_beginning_has_newer_versions_than_what_was_erased(*, is_restarted: bool) -> None:
    """By the stage that erased it, and by one that starts when `control` has forgotten the erasure."""
    definitions, tables, far = ControlState(), MemoryTables(), 10**18

    def started(control: ControlState) -> SegmentsStage:
        stage = SegmentsStage(control, ONE)
        stage.on_assigned(0, lambda table: tables.scan(table, 0))
        return stage

    def process(stage: SegmentsStage, *events: Event) -> list[Change]:
        state = PartitionState(0, tables)
        records = [InputRecord(topics.RESOLVED.name, 0, 0, None, codec.encode_events(events), NOW_MS)]
        sends = stage.process(records, state, NOW_MS)
        tables.apply(0, state.writes)
        return [
            change for send in sends if send.topic == topics.CHANGES.name for change in codec.decode_changes(send.value)
        ]

    contact = contact_state.Contact(WORKSPACE, ENVIRONMENT)
    contact.revision, contact.created = far, NOW_MS
    tables.apply(0, {topics.SEGMENT_STATES: {cid(A).encode(): contact_state.dump(contact)}})
    stage = started(definitions)
    process(stage, event(C, event_id="evt_2"))
    definitions.apply(*control_state.encode("erasure", erased(A)))
    process(stage, event(C, event_id="evt_3"))
    if is_restarted:
        stage = started(ControlState())
    changes = process(stage, event(A, event_id="evt_4", received_ms=NOW_MS + 1))
    assert [change["version"] for change in changes if change["kind"] == "profile"] == [far + 1]
