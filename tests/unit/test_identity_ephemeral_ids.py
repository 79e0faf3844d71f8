"""Anonymous ids that an SDK makes up for each call: they do not fill a contact, and a browser's id still joins it."""

import pytest

from processors.identity import ephemeral_ids, erase
from processors.identity.ephemeral_ids import AT_ONCE, WAITING
from processors.identity.guard import Limits
from processors.identity.resolve import new_links
from processors.runtime.stage import PartitionState
from schemas import topics
from schemas.records.records import Event
from tests.property.world_identity import IdentityWorld
from tests.support.builders import MemoryTables, cid, event

USER = "external_id:u1"


class Partition:
    """The pairs of one partition, and what it passes on."""

    def __init__(self) -> None:
        self.tables = MemoryTables()

    def takes(self, event: Event) -> list[str]:
        """The anonymous ids that the event ties to its sender."""
        state = PartitionState(0, self.tables)
        links = new_links(event, state)
        self.tables.apply(0, state.writes)
        return [link["b"]["value"] for link in links if link["b"]["type"] == "anonymous_id"]

    def erases(self, name: str) -> None:
        state = PartitionState(0, self.tables)
        erase.forget_pairs(state, {cid(name).encode()})
        self.tables.apply(0, state.writes)

    def rows(self) -> dict[bytes, bytes]:
        return dict(self.tables.scan(topics.IDENTITY_PAIRS, 0))


def call(anonymous: str, kind: str = "track", user: str = USER, event_id: str = "evt_1") -> Event:
    return event(user, f"anonymous_id:{anonymous}", kind=kind, event_id=event_id)


@pytest.fixture
def partition() -> Partition:
    """A user whose SDK has made up an id for each of many calls."""
    partition = Partition()
    passed = [made for n in range(AT_ONCE + 2 * WAITING) for made in partition.takes(call(f"made-{n}"))]
    assert passed == [f"made-{n}" for n in range(AT_ONCE)], "the first ones as they come, the rest not"
    return partition


def test_a_browsers_id_joins_when_it_comes_again(partition: Partition) -> None:
    assert partition.takes(call("browser")) == []
    assert [partition.takes(call(f"more-{n}")) for n in range(WAITING - 1)] == [[]] * (WAITING - 1)
    assert partition.takes(call("browser")) == ["browser"]
    assert partition.takes(call("browser")) == [], "it is known"


@pytest.mark.parametrize("kind", ["identify", "alias", "contact"])
@pytest.mark.parametrize("waits", [False, True])
def test_a_call_that_states_the_link_is_believed_at_once(partition: Partition, kind: str, waits: bool) -> None:
    if waits:
        assert partition.takes(call("browser")) == []
    assert partition.takes(call("browser", kind)) == ["browser"]


def test_what_is_kept_of_a_sender_is_bounded(partition: Partition) -> None:
    before = {key: len(row) for key, row in partition.rows().items()}
    for n in range(3 * WAITING):
        partition.takes(call(f"yet-{n}"))
    assert {key: len(row) for key, row in partition.rows().items()} == before


def test_other_users_and_other_identifiers_do_not_wait(partition: Partition) -> None:
    assert partition.takes(call("made-x", user="external_id:u2")) == ["made-x"]
    more = event(USER, "email:a@b.org", "anonymous_id:made-y")
    state = PartitionState(0, partition.tables)
    assert [link["b"]["type"] for link in new_links(more, state)] == ["email"]


def test_a_copy_is_no_second_time() -> None:
    world = IdentityWorld()
    for n in range(20):
        world.deliver(call(f"made-{n}", event_id=f"evt_{n}"))
    for _ in range(3):
        world.deliver(call("made-again", event_id="evt_again"))
    world.settle()
    assert world.winner("anonymous_id:made-again") == cid("anonymous_id:made-again")


def test_an_erased_id_waits_no_more(partition: Partition) -> None:
    partition.takes(call("browser"))
    partition.erases("anonymous_id:browser")
    assert partition.takes(call("browser")) == [], "it comes for the first time"
    assert partition.takes(call("browser")) == ["browser"]


def test_an_erased_sender_begins_anew(partition: Partition) -> None:
    partition.erases(USER)
    assert not [key for key in partition.rows() if key.startswith(cid(USER).encode())]
    assert partition.takes(call("made-again")) == ["made-again"]


@pytest.mark.parametrize(("total", "most"), [(1000, 100), (5000, 100), (500, 50), (20, 10)])
def test_a_smaller_contact_takes_fewer_at_once(total: int, most: int) -> None:
    assert ephemeral_ids.at_once(Limits({"total": total})) == most


def test_a_thousand_made_up_ids_leave_room_for_the_users_browser() -> None:
    world = IdentityWorld(limits={})
    for n in range(1100):
        world.deliver(call(f"made-{n}", event_id=f"evt_{n}"))
    visit = event("anonymous_id:browser", event_id="evt_visit")
    world.deliver(visit)
    world.deliver(call("browser", "identify", event_id="evt_identify"))
    world.settle()
    assert world.winner("anonymous_id:browser") == world.winner(USER) == cid(USER)
    assert world.winner("anonymous_id:made-0") == cid(USER)
    assert world.winner("anonymous_id:made-1099") == cid("anonymous_id:made-1099")
