"""What the identity stage does with an event, a link and a merge, one decision at a time."""

from collections import defaultdict
from itertools import pairwise

import orjson
import pytest

from processors.identity.stage import IdentityStage
from processors.runtime.stage import InputRecord, OutputRecord, PartitionState
from schemas import topics
from schemas.control.control_state import ControlState, Workspace, encode
from schemas.records import codec
from schemas.records.identity import partition_of
from schemas.records.records import Change, Event
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, MemoryTables, cid, event, link

PARTITIONS = 4
LINKS = partition_of(f"{WORKSPACE}/{ENVIRONMENT}", PARTITIONS)


class Pipeline:
    """The stage with its topics in lists: what it sends to its own inputs comes back to it."""

    def __init__(self) -> None:
        self.control = ControlState()
        self.stage = IdentityStage(self.control, PARTITIONS)
        self.tables = MemoryTables()
        self.offsets: dict[tuple[str, int], int] = defaultdict(int)
        self.resolved: list[Event] = []
        self.changes: list[Change] = []
        self.sent: list[OutputRecord] = []

    def feed(self, topic: str, partition: int, value: bytes) -> None:
        offset = self.offsets[topic, partition]
        self.offsets[topic, partition] += 1
        state = PartitionState(partition, self.tables)
        sends = self.stage.process([InputRecord(topic, partition, offset, None, value, NOW_MS)], state, NOW_MS)
        self.tables.apply(partition, state.writes)
        for send in sends:
            self.sent.append(send)
            if send.topic == topics.RESOLVED.name:
                self.resolved += codec.decode_events(send.value)
            elif send.topic == topics.CHANGES.name:
                self.changes += codec.decode_changes(send.value)
            else:
                self.feed(send.topic, send.partition, send.value)

    def event(self, event: Event) -> Event:
        partition = partition_of(event["contact_id"] or event["event_id"], PARTITIONS)
        self.feed(topics.EVENTS.name, partition, codec.encode_events([event]))
        return self.resolved[-1]


def test_an_event_of_one_identifier_passes_with_its_own_contact() -> None:
    pipeline = Pipeline()
    assert pipeline.event(event("anonymous_id:a1"))["contact_id"] == cid("anonymous_id:a1")
    assert {send.topic for send in pipeline.sent} == {topics.RESOLVED.name}


def test_an_anonymous_contact_becomes_known_by_the_first_event_with_both() -> None:
    pipeline = Pipeline()
    pipeline.event(event("anonymous_id:a1", event_id="evt_1"))
    pipeline.event(event("external_id:u1", "anonymous_id:a1", event_id="evt_2"))
    late = pipeline.event(event("anonymous_id:a1", event_id="evt_3"))
    assert late["contact_id"] == cid("external_id:u1")


def test_a_known_contact_keeps_its_id_when_it_gains_a_stronger_identifier() -> None:
    pipeline = Pipeline()
    pipeline.event(event("email:e@x.y", event_id="evt_1"))
    pipeline.event(event("external_id:u1", "email:e@x.y", event_id="evt_2"))
    assert pipeline.event(event("external_id:u1", event_id="evt_3"))["contact_id"] == cid("email:e@x.y")


def test_identifiers_that_are_new_together_rank_by_type() -> None:
    pipeline = Pipeline()
    pipeline.event(event("external_id:u1", "email:e@x.y", event_id="evt_1"))
    assert pipeline.event(event("email:e@x.y", event_id="evt_2"))["contact_id"] == cid("external_id:u1")


def test_a_known_pair_teaches_once() -> None:
    pipeline = Pipeline()
    for n in range(3):
        pipeline.event(event("external_id:u1", "anonymous_id:a1", event_id=f"evt_{n}"))
    assert sum(send.topic == topics.LINKS.name for send in pipeline.sent) == 1


def test_a_shared_device_links_nobody() -> None:
    pipeline = Pipeline()
    pipeline.event(event("external_id:u1", "device_id:d1", event_id="evt_1"))
    pipeline.event(event("external_id:u2", "device_id:d1", event_id="evt_2"))
    assert pipeline.event(event("device_id:d1", event_id="evt_3"))["contact_id"] == cid("device_id:d1")


def test_an_alias_joins_what_a_weaker_identifier_may_not() -> None:
    pipeline = Pipeline()
    pipeline.event(event("external_id:u1", "anonymous_id:a1", event_id="evt_1"))
    pipeline.event(event("external_id:u2", "anonymous_id:a1", event_id="evt_2"))
    assert pipeline.event(event("external_id:u2", event_id="evt_3"))["contact_id"] == cid("external_id:u2")
    pipeline.event(event("external_id:u2", "external_id:u1", event_id="evt_4", kind="alias"))
    assert pipeline.event(event("external_id:u2", event_id="evt_5"))["contact_id"] == cid("external_id:u1")


def test_a_refused_link_is_told_to_both_sides() -> None:
    pipeline = Pipeline()
    pipeline.event(event("external_id:u1", "anonymous_id:a1", event_id="evt_1"))
    pipeline.event(event("external_id:u2", "anonymous_id:a1", event_id="evt_2"))
    refusals = {(c["contact_id"], orjson.loads(c["profile"])["value"], c["reason"]) for c in pipeline.changes}
    assert refusals == {
        (cid("external_id:u2"), "a1", "two_contacts"),
        (cid("anonymous_id:a1"), "u2", "two_contacts"),
    }


def test_an_event_of_nobody_passes_without_a_contact() -> None:
    pipeline = Pipeline()
    assert pipeline.event(event())["contact_id"] == ""


def test_an_older_merge_never_overrides_a_newer_one() -> None:
    pipeline = Pipeline()
    pipeline.feed(
        topics.LINKS.name,
        0,
        codec.encode_links([link("anonymous_id:a", "email:b@x.y"), link("email:b@x.y", "phone:+1")]),
    )
    merges = [s for s in pipeline.sent if s.topic == topics.MERGES.name]
    before = dict(pipeline.tables.rows)
    for send in merges[:1]:
        pipeline.feed(send.topic, send.partition, send.value)
    assert pipeline.tables.rows == before


@pytest.mark.parametrize(
    "shape", ["chain", pytest.param("star", marks=pytest.mark.full("a thousand identifiers, each tied to the first"))]
)
def test_a_thousand_identifiers_are_one_contact(shape: str) -> None:
    pipeline = Pipeline()
    names = ["external_id:u", *(f"anonymous_id:a{n}" for n in range(999))]
    pairs = pairwise(names) if shape == "chain" else ((names[0], n) for n in names[1:])
    for n, (a, b) in enumerate(pairs):
        pipeline.feed(topics.LINKS.name, 0, codec.encode_links([link(a, b, event=f"evt_{n}")]))
    assert {pipeline.event(event(name))["contact_id"] for name in names} == {cid("external_id:u")}
    pipeline.feed(topics.LINKS.name, 0, codec.encode_links([link("external_id:u", "anonymous_id:one-more")]))
    assert {change["reason"] for change in pipeline.changes} == {"limit:total"}


def test_where_an_event_came_from_travels_with_it() -> None:
    pipeline = Pipeline()
    first, second = event("external_id:u1", event_id="evt_1"), event("external_id:u1", event_id="evt_2")
    partition = partition_of(first["contact_id"], PARTITIONS)
    pipeline.feed(topics.EVENTS.name, partition, codec.encode_events([first, second]))
    assert [(e["origin_partition"], e["origin_offset"], e["origin_index"]) for e in pipeline.resolved] == [
        (partition, 0, 0),
        (partition, 0, 1),
    ]


def test_new_evidence_links_again_what_a_split_took_apart() -> None:
    """The pair is known to the partition of its events; a replay of what was taken back is not new."""
    pipeline = Pipeline()
    first = event("external_id:u1", "anonymous_id:a1", event_id="evt_1")
    pipeline.event(first)
    back = link("external_id:u1", "anonymous_id:a1", event="evt_1", at_ms=NOW_MS + 1, retract=True)
    pipeline.feed(topics.LINKS.name, LINKS, codec.encode_links([back]))
    assert pipeline.event(event("anonymous_id:a1", event_id="evt_2"))["contact_id"] == cid("anonymous_id:a1")
    pipeline.event(first)
    assert pipeline.event(event("anonymous_id:a1", event_id="evt_3"))["contact_id"] == cid("anonymous_id:a1")
    pipeline.event({**first, "event_id": "evt_4"})
    pipeline.event({**first, "event_id": "evt_5"})
    assert pipeline.event(event("anonymous_id:a1", event_id="evt_6"))["contact_id"] == cid("external_id:u1")


def test_both_sides_of_a_pair_are_open_again_though_neither_changed_its_name() -> None:
    """Two names of a third contact lose their tie: the partition of each is told."""
    pipeline = Pipeline()
    pipeline.event(event("external_id:u1", "email:e@x.y", event_id="evt_1"))
    pipeline.event(event("external_id:u1", "phone:+1", event_id="evt_2"))
    pipeline.event(event("email:e@x.y", "phone:+1", event_id="evt_3"))
    for name in ("evt_3", "evt_2"):
        pair = ("email:e@x.y" if name == "evt_3" else "external_id:u1", "phone:+1")
        back = link(*pair, event=name, at_ms=NOW_MS + 1, retract=True)
        pipeline.feed(topics.LINKS.name, LINKS, codec.encode_links([back]))
    assert pipeline.event(event("phone:+1", event_id="evt_4"))["contact_id"] == cid("phone:+1")
    pipeline.event(event("email:e@x.y", "phone:+1", event_id="evt_5"))
    assert pipeline.event(event("phone:+1", event_id="evt_6"))["contact_id"] == cid("external_id:u1")


def test_limits_are_those_of_the_workspace() -> None:
    """A link over them is refused with the reason, and the event passes."""
    pipeline = Pipeline()
    settings = Workspace(id="local", workspace="local", created_ms=1, name="Local", limits={"email": 1, "total": 3})
    pipeline.control.apply(*encode("workspace", settings))
    for n, name in enumerate(("email:1@x.y", "email:2@x.y", "phone:+1", "phone:+2")):
        assert pipeline.event(event("external_id:u1", name, event_id=f"evt_{n}"))["event_id"] == f"evt_{n}"
    assert {(c["reason"], c["event_id"]) for c in pipeline.changes} == {
        ("limit:email", "evt_1"),
        ("limit:total", "evt_3"),
    }


@pytest.mark.parametrize(
    ("switch", "shared"), [("link_phones", "phone:+447700900123"), ("link_emails", "email:desk@example.com")]
)
def test_a_workspace_may_share_phones_and_addresses_among_people(switch: str, shared: str) -> None:
    own = ("external_id:a", "external_id:b")
    for linked in (True, False):
        pipeline = Pipeline()
        settings = Workspace(id="local", workspace="local", created_ms=1, name="Local", **{switch: linked})
        pipeline.control.apply(*encode("workspace", settings))
        for n, name in enumerate(own):
            pipeline.event(event(name, shared, event_id=f"evt_{n}"))
        # one contact may have one user id: where the address links, the second is refused it
        assert bool(pipeline.changes) is linked
        assert pipeline.event(event(shared, event_id="evt_2"))["contact_id"] == cid(own[0] if linked else shared)
        # whose strongest identifier ties nothing together stands alone
        pipeline.event(event(shared, "anonymous_id:x", event_id="evt_3"))
        alone = pipeline.event(event("anonymous_id:x", event_id="evt_4"))["contact_id"]
        assert alone == cid(own[0] if linked else "anonymous_id:x")


def test_a_workspace_may_link_devices() -> None:
    pipeline = Pipeline()
    settings = Workspace(id="local", workspace="local", created_ms=1, name="Local", link_devices=True)
    pipeline.control.apply(*encode("workspace", settings))
    pipeline.event(event("external_id:u1", "device_id:d1", event_id="evt_1"))
    assert pipeline.event(event("device_id:d1", event_id="evt_2"))["contact_id"] == cid("external_id:u1")
