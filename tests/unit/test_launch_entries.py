"""Which entries into a segment launch which campaigns, and which jobs of launches are open or may go."""

from typing import Any

import orjson
import pytest

from schemas.api import serialize
from schemas.control import control_state
from schemas.control.control_state import Campaign, ControlState
from schemas.control.launch_jobs import KEEP_MOST, KEEP_MS, KIND, Audience, LaunchJob, LaunchJobs
from schemas.records.channels import address_kind
from sinks.launch.entry import ENTRY, EntryPlace, LaunchEntry, entries, entry_of, standing_job
from sinks.launch.messages import requested
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid

SEGMENT = "seg_1"
HOME = (WORKSPACE, ENVIRONMENT)
DATA = {"segment_id": SEGMENT, "contact_id": cid("external_id:u1")}
PLACE = EntryPlace(1, 7, NOW_MS)


def campaign(**more: Any) -> Campaign:
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS, "updated_ms": NOW_MS}
    fields = {"id": "cmp_1", "name": "Hello", "channel": "email", "status": "active", "number": 1}
    own = {"delivery": {"topic": "mail"}, "launch_on_entry": SEGMENT, "entry_since_ms": NOW_MS}
    return Campaign(**home | fields | own | more)


def found(place: EntryPlace = PLACE, **more: Any) -> list[LaunchEntry]:
    control = ControlState()
    control.apply(*control_state.encode("campaign", campaign(**more)))
    return list(entries(control, HOME, DATA, "evt_1", place))


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ({}, 1),
        ({"status": "paused"}, 0),
        ({"status": "draft"}, 0),
        ({"launch_on_entry": "seg_2"}, 0),
        ({"launch_on_entry": ""}, 0),
        ({"delivery": None}, 0),
        ({"environment": "staging"}, 0),
        ({"entry_since_ms": NOW_MS + 60_000}, 0),
        ({"entry_since_ms": NOW_MS + 1_000}, 1),
    ],
)
def test_an_active_campaign_is_launched_by_entries_from_then_on(more: dict[str, Any], count: int) -> None:
    assert len(found(**more)) == count


def test_an_entry_that_is_read_again_makes_the_same_message() -> None:
    (entry,), (again,) = found(), found(EntryPlace(1, 9, NOW_MS + 5))
    assert entry.key == again.key
    assert entry.key.startswith(ENTRY)
    assert entry_of(entry.value) == entry
    assert entry_of(b"{}") is None
    assert entry_of(b"\xff") is None
    row = {"contact_id": DATA["contact_id"], "email": "a@b.c", "phone": "", "devices": ""}
    merged = {**row, "contact_id": cid("external_id:winner")}
    first = requested(entry.job, campaign(), row, NOW_MS)
    second = requested(again.job, campaign(), merged, NOW_MS + 60_000, entered_as=entry.contact)
    assert (first["event_id"], first["message_id"]) == (second["event_id"], second["message_id"])
    assert orjson.loads(first["properties"])["to"] == {"email": "a@b.c"}


def test_the_count_of_entries_is_never_done() -> None:
    (entry,) = found()
    jobs = LaunchJobs()
    standing = standing_job(entry)
    jobs.apply(*control_state.encode(KIND, standing))
    assert jobs.open() == []
    assert jobs.outdated(NOW_MS + 2 * KEEP_MS) == []
    assert jobs.of_campaign(*HOME, "cmp_1") == [standing]
    assert serialize.launch(standing)["on_entry"] is True


def test_jobs_are_kept_for_a_while_and_not_too_many() -> None:
    jobs = LaunchJobs()

    def put(number: int, **more: Any) -> LaunchJob:
        home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS + number}
        fields = {"campaign": "cmp_1", "audience": Audience(segment=SEGMENT), "key_id": "key_1"}
        job = LaunchJob(id=f"lch_{number}", **home, **fields | more)
        jobs.apply(*control_state.encode(KIND, job))
        return job

    waiting = put(0, launched=3, skipped={"no_consent": 1}, total=9)
    for number in range(1, KEEP_MOST + 2):
        put(number, done_ms=NOW_MS + number)
    assert jobs.open() == [waiting]
    assert [job.id for job in jobs.outdated(NOW_MS)] == ["lch_1"]
    assert len(jobs.outdated(NOW_MS + 2 * KEEP_MS)) == KEEP_MOST + 1
    assert serialize.launch_task(waiting)["progress"] == {"total": 9, "done": 4}
    assert jobs.get(WORKSPACE, "staging", "lch_0") is None
    jobs.apply(b"local/launch/lch_0", b"{}")
    assert jobs.open() == [], "a record that cannot be read is passed over"


@pytest.mark.parametrize(
    ("channel", "kind"),
    [("email", "email"), ("SMS", "phone"), ("whatsapp", "phone"), ("web-push", "devices"), ("letter", "")],
)
def test_a_channel_has_its_kind_of_address(channel: str, kind: str) -> None:
    assert address_kind(channel) == kind
