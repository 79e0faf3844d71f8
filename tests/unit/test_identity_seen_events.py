"""Each copy of an event but the first is marked, whatever happens around it; what only shares its id is not."""

from itertools import count
from typing import Any

import pytest

from processors.identity import seen_events
from processors.identity.stage import IdentityStage
from processors.runtime.stage import InputRecord, PartitionState
from schemas import ids, topics
from schemas.control.control_state import ControlState, Erasure, encode
from schemas.records import codec
from schemas.records.records import Event
from schemas.records.sameness import AGAIN, CHANGED, FIRST
from schemas.times import DAY_MS
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, MemoryTables, cid, event


class Partition:
    """One partition of `events` and its tables; ``crash`` forgets what is not in them."""

    def __init__(self) -> None:
        self.control = ControlState()
        self.tables = MemoryTables()
        self._offsets = count()
        self.crash()

    def crash(self) -> None:
        self.stage = IdentityStage(self.control, 1, DAY_MS)
        self.stage.on_assigned(0, lambda table: self.tables.scan(table, 0))

    def record(self, *events: Event) -> InputRecord:
        return InputRecord(topics.EVENTS.name, 0, next(self._offsets), None, codec.encode_events(events), NOW_MS)

    def read(self, record: InputRecord, now_ms: int = NOW_MS, *, keep: bool = True) -> list[int]:
        """The marks of its events; ``keep=False``: what the step put is lost."""
        state = PartitionState(0, self.tables)
        sends = self.stage.process([record], state, now_ms)
        if keep:
            self.tables.apply(0, state.writes)
        resolved = [s.value for s in sends if s.topic == topics.RESOLVED.name]
        return [event["repeat"] for value in resolved for event in codec.decode_events(value)]

    def take(self, *events: Event, now_ms: int = NOW_MS) -> list[int]:
        return self.read(self.record(*events), now_ms)

    def idle(self, now_ms: int) -> None:
        state = PartitionState(0, self.tables)
        self.stage.on_idle(state, now_ms)
        self.tables.apply(0, state.writes)

    @property
    def rows(self) -> int:
        return len(list(self.tables.scan(topics.IDENTITY_SEEN, 0)))


def test_copies_are_marked_in_one_record_and_in_later_ones() -> None:
    partition = Partition()
    made_event = event("external_id:u1")
    assert partition.take(made_event, made_event) == [FIRST, AGAIN]
    partition.crash()
    assert partition.take(made_event) == [AGAIN]


@pytest.mark.parametrize(
    "other",
    [
        event("external_id:u1", type="purchase"),
        event("external_id:u2"),
        event(),
        event("external_id:u1", workspace="other", contact_id=cid("external_id:u1", "other")),
        event("external_id:u1", environment="staging", contact_id=cid("external_id:u1", environment="staging")),
        event("external_id:u1", event_id="evt_2"),
    ],
    ids=["type", "sender", "nobody", "workspace", "environment", "id"],
)
def test_what_differs_in_id_type_sender_or_home_is_another_event(other: Event) -> None:
    partition = Partition()
    assert partition.take(event("external_id:u1"), other, other) == [FIRST, FIRST, AGAIN]


def test_nobodys_events_of_two_environments_are_two() -> None:
    assert Partition().take(event(), event(environment="staging"), event(workspace="other")) == [FIRST] * 3


@pytest.mark.parametrize(
    "more",
    [
        {"properties": b'{"total":2}'},
        {"campaign_id": "another"},
        {"profile": b'{"set":{"plan":"pro"}}'},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_copy_that_says_something_else_is_a_copy_and_told_as_one_that_does(more: dict[str, Any]) -> None:
    assert Partition().take(event("external_id:u1"), {**event("external_id:u1"), **more}) == [FIRST, CHANGED]  # type: ignore[typeddict-item]


def test_another_time_alone_is_no_other_content() -> None:
    """Of a retry the receipt is later, and so is a time that was put right by when it was sent."""
    later = event("external_id:u1", received_ms=NOW_MS + 5, timestamp_ms=NOW_MS + 5)
    assert Partition().take(event("external_id:u1"), later) == [FIRST, AGAIN]


def test_a_sender_that_has_merged_since_is_the_same_sender() -> None:
    """Its own contact id decides, which no merge changes, and the strongest identifier gives it."""
    partition = Partition()
    assert partition.take(event("external_id:u1")) == [FIRST]
    assert partition.take(event("external_id:u1", "email:a@b.c")) == [AGAIN]


@pytest.mark.parametrize("keep", [True, False], ids=["after", "before"])
def test_a_record_that_is_read_again_after_a_crash_finds_itself_and_is_no_copy(keep: bool) -> None:
    """Whether the crash came after its rows were durable or before."""
    partition = Partition()
    record = partition.record(event("external_id:u1"), event("external_id:u1"))
    assert partition.read(record, keep=keep) == [FIRST, AGAIN]
    partition.crash()
    assert partition.read(record) == [FIRST, AGAIN]
    assert partition.take(event("external_id:u1")) == [AGAIN]


def test_a_copy_teaches_no_link() -> None:
    partition = Partition()
    assert partition.take(event("external_id:u1", kind="alias")) == [FIRST]
    state = PartitionState(0, partition.tables)
    copy = partition.record(event("external_id:u1", "anonymous_id:a1", kind="alias"))
    assert topics.LINKS.name not in {send.topic for send in partition.stage.process([copy], state, NOW_MS)}


def test_an_event_is_known_for_a_span_at_least_and_forgotten_after_two() -> None:
    partition = Partition()
    start = NOW_MS // DAY_MS * DAY_MS
    assert partition.take(event("external_id:u1"), now_ms=start + DAY_MS - 1) == [FIRST]
    partition.crash()
    assert partition.take(event("external_id:u1"), now_ms=start + 2 * DAY_MS - 1) == [AGAIN]
    assert not partition.stage.has_work(0)
    assert partition.take(event("external_id:u2"), now_ms=start + 2 * DAY_MS) == [FIRST]
    assert partition.stage.has_work(0)
    partition.idle(start + 2 * DAY_MS)
    assert (partition.rows, partition.stage.has_work(0)) == (1, False)


def test_forgetting_goes_in_chunks_and_goes_on_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_events, "CHUNK", 2)
    partition = Partition()
    partition.take(*(event("external_id:u1", event_id=f"e{n}") for n in range(5)))
    later = NOW_MS + 3 * DAY_MS
    partition.crash()
    partition.take(event("external_id:u1", event_id="new"), now_ms=later)
    left = []
    while partition.stage.has_work(0):
        partition.idle(later)
        left.append(partition.rows)
        partition.crash()
        partition.take(event("external_id:u1", event_id="new"), now_ms=later)
    assert left == [4, 2, 1]


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    partition = Partition()
    partition.take(event("external_id:u1"), now_ms=NOW_MS)
    assert partition.take(event("external_id:u1"), now_ms=NOW_MS - 3 * DAY_MS) == [AGAIN]


def test_an_id_of_the_edge_is_not_kept() -> None:
    partition = Partition()
    partition.take(event("external_id:u1", event_id=ids.new_id("evt_", NOW_MS)))
    assert partition.rows == 0


def test_an_erased_sender_leaves_nothing_and_its_neighbours_stay() -> None:
    partition = Partition()
    partition.take(*(event(f"external_id:u{n}", event_id=e) for n in (1, 2, 3) for e in ("a", "b")))
    partition.take(event("external_id:u2", event_id="c"), now_ms=NOW_MS + DAY_MS)
    erasure = Erasure(
        id="era_1",
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        contacts=(cid("external_id:u2"),),
        created_ms=NOW_MS,
        erased_ms=NOW_MS,
    )
    partition.control.apply(*encode("erasure", erasure))
    partition.idle(NOW_MS + DAY_MS)
    assert partition.rows == 4
    assert partition.take(event("external_id:u3", event_id="b"), now_ms=NOW_MS + DAY_MS) == [AGAIN]
