"""Restarts, crashes and backlogs: timers are found again, nothing is told that was not so."""

from processors.membership.timers import Timers
from schemas import topics
from schemas.records.records import RESTATED
from tests.property.world_segments import HOUR, NOW, SegmentsWorld, contact_of, event, merge, partition_of, told

RECENT = {"event": "bought", "within": "10m"}
MINUTE = 60_000
ANN = contact_of("external_id", "ann")
RESOLVED = (topics.RESOLVED.name, partition_of(ANN))


def test_due_times_survive_a_restart() -> None:
    world = SegmentsWorld(it=RECENT)
    world.send(event("bought"))
    world.jump(5 * MINUTE)
    world.restart()
    world.pass_time(5 * MINUTE)
    assert world.segments_of() == {"it"}
    world.pass_time(1)
    assert world.segments_of() == set()


def test_what_fell_due_while_nobody_ran_is_done_after_the_start() -> None:
    world = SegmentsWorld(it=RECENT)
    world.send(event("bought"))
    world.jump(HOUR)
    world.restart()
    world.fire()
    assert world.segments_of() == {"it"}, "there may be a backlog that renews it"
    world.jump(1000)
    world.fire()
    assert world.segments_of() == set()
    assert world.sink.changes[-1]["at_ms"] == NOW + 10 * MINUTE + 1


def test_a_backlog_is_judged_as_of_its_own_time() -> None:
    world = SegmentsWorld(it=RECENT)
    world.send(event("bought"))
    for minute in (8, 16, 24):
        world.jump(8 * MINUTE)
        world.publish(event("bought", at=world.now, event_id=f"e{minute}"))
    world.restart()
    before = len(world.sink.changes)
    for _ in range(3):
        world.fire()
        world.process(*RESOLVED, 1)
        world.fire()
    assert told(world.sink.changes[before:]) == [("it", True, RESTATED)] * 3
    world.pass_time(10 * MINUTE + 1)
    assert told(world.sink.changes[-1:]) == [("it", False, "time")]


def test_a_gap_in_a_backlog_is_a_gap() -> None:
    """In one group, too: left in between and entered again."""
    world = SegmentsWorld(it=RECENT)
    world.send(event("bought"))
    for minute in (8, 30):
        world.now = NOW + minute * MINUTE
        world.publish(event("bought", at=world.now, event_id=f"e{minute}"))
    world.jump(2 * MINUTE)
    before = len(world.sink.changes)
    world.process(*RESOLVED)
    changes = world.sink.changes[before:]
    assert told(changes) == [("it", False, "time"), ("it", True, "event")]
    assert [change["at_ms"] for change in changes] == [NOW + 18 * MINUTE + 1, NOW + 30 * MINUTE]


def test_a_change_that_was_told_but_not_kept_is_taken_back() -> None:
    world = SegmentsWorld(it=RECENT)
    world.publish(event("bought"))
    world.process(*RESOLVED, lose=True)
    assert world.segments_of() == {"it"}
    assert world.members() == set()
    world.jump(2 * HOUR)
    world.publish(event("seen", at=world.now))
    world.restart()
    world.now += 1
    world.send(event("bought", at=NOW, event_id="another", received=world.now))
    world.pass_time(1)
    assert world.segments_of() == set()
    assert world.members() == set()


def test_a_repeat_of_what_was_kept_is_told_again_as_it_is() -> None:
    world = SegmentsWorld(it={"event": "bought"})
    world.send(event("bought"))
    world.restart()
    (again,) = world.send(event("bought"))
    assert told([again]) == [("it", True, RESTATED)]
    assert again["at_ms"] == NOW


def test_long_after_the_start_nothing_is_told_twice() -> None:
    world = SegmentsWorld(it={"event": "bought"})
    world.send(event("bought"))
    world.restart()
    world.send(*(event("seen", user=f"bob{n}") for n in range(20)))  # some of them share ann's partition
    world.jump(MINUTE)
    assert world.send(event("bought")) == []


def test_a_merge_that_was_cut_off_comes_again() -> None:
    world = SegmentsWorld(it={"event": "bought"})
    world.send(event("bought", user="a1", by="anonymous_id"))
    loser = contact_of("anonymous_id", "a1")
    world.publish_merge(merge(("anonymous_id", "a1"), ("external_id", "ann")))
    world.process(topics.MERGES.name, partition_of(loser), lose=True)
    world.settle()
    assert world.segments_of("ann") == {"it"}
    assert world.segments_of("a1", "anonymous_id") == set()


def test_timers_forgive_entries_that_are_too_early() -> None:
    timers = Timers([(300, b"c"), (0, b"never"), (100, b"a")])
    assert timers.next() == 100
    timers.move(b"a", 100, 200)  # later: found out when 100 comes
    assert (timers.next(), len(timers)) == (100, 2)
    timers.move(b"c", 300, 50)
    assert timers.next() == 50
    assert timers.pop(49, 10) == []
    assert timers.pop(100, 10) == [b"c", b"a"]
    timers.move(b"a", 0, 200)
    timers.move(b"c", 0, 0)
    assert timers.pop(1000, 1) == [b"a"]
    assert timers.pop(1000, 9) == [b"c"]
    assert timers.next() is None


def test_a_timer_that_is_moved_back_and_forth_does_not_pile_up() -> None:
    world = SegmentsWorld(it=RECENT)
    for minute in range(50):
        world.send(event("bought", at=world.now, event_id=f"e{minute}"))
        world.pass_time(MINUTE)
    (opened,) = [p for p in world.stage._open.values() if p.timers.next() is not None]
    assert len(opened.timers) <= 2
