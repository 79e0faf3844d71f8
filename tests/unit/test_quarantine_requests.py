"""Bodies that ask to replay or discard, and the jobs that they become on `control`."""

from typing import Any

import pytest

from ingest.control.quarantine import request_of
from schemas.control.control_state import encode
from schemas.control.quarantine_jobs import KEEP_MOST, KEEP_MS, KIND, QuarantineFilter, QuarantineJob, QuarantineJobs
from schemas.errors import ApiError
from schemas.limits import MAX_QUARANTINE_IDS
from tests.support.builders import NOW_MS, WORKSPACE


def job(number: int, done_ms: int = 0, workspace: str = WORKSPACE) -> QuarantineJob:
    return QuarantineJob(
        id=f"qjb_{number}",
        workspace=workspace,
        created_ms=NOW_MS + number,
        action="replay",
        filter=QuarantineFilter(until_ms=NOW_MS),
        key_id="key_1",
        done_ms=done_ms,
    )


def test_a_filter_never_reaches_beyond_the_moment_it_was_asked() -> None:
    body = {"filter": {"until": "2100-01-01", "ids": ["events:0:7:-1", "events:0:7:-1"]}, "dry_run": True}
    chosen, dry_run = request_of(body, NOW_MS)
    assert (chosen.until_ms, chosen.ids, dry_run) == (NOW_MS, ("events:0:7:-1",), True)
    assert request_of({"filter": {}}, NOW_MS) == (QuarantineFilter(until_ms=NOW_MS), False)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        ({}, "filter"),
        ({"filter": []}, "filter"),
        ({"filter": {"reasons": "x"}}, "filter.reasons"),
        ({"filter": {}, "dryrun": True}, "dryrun"),
        ({"filter": {}, "dry_run": "yes"}, "dry_run"),
        ({"filter": {"ids": "events:0:7:-1"}}, "filter.ids"),
        ({"filter": {"ids": ["events:0:7:-1"] * (MAX_QUARANTINE_IDS + 1)}}, "filter.ids"),
        ({"filter": {"ids": ["events:0:7"]}}, "filter.ids[0]"),
        ({"filter": {"ids": ["a:b:0:7:-1"]}}, "filter.ids[0]"),
        ({"filter": {"ids": ["events:0:7:-2"]}}, "filter.ids[0]"),
        ({"filter": {"reason": "x" * 201}}, "filter.reason"),
        ({"filter": {"topic": 3}}, "filter.topic"),
        ({"filter": {"since": "soon"}}, "filter.since"),
        ({"filter": {"until": None}}, "filter.until"),
    ],
)
def test_a_body_that_is_wrong_names_its_field(body: Any, param: str | None) -> None:
    with pytest.raises(ApiError) as refused:
        request_of(body, NOW_MS)
    assert refused.value.param == param


def test_jobs_are_done_in_their_order_and_forgotten_after_a_while() -> None:
    jobs = QuarantineJobs()
    for made_job in (job(2), job(1), job(3, done_ms=NOW_MS), job(4, workspace="other")):
        jobs.apply(*encode(KIND, made_job))
    assert [open_job.id for open_job in jobs.open()] == ["qjb_1", "qjb_2", "qjb_4"]
    assert (jobs.open_of(WORKSPACE), jobs.open_of("other")) == (2, 1)
    assert jobs.get("other", "qjb_1") is None
    assert jobs.outdated(NOW_MS + KEEP_MS) == []
    assert [old_job.id for old_job in jobs.outdated(NOW_MS + KEEP_MS + 1)] == ["qjb_3"]
    jobs.apply(encode(KIND, job(3))[0], None)
    assert jobs.get(WORKSPACE, "qjb_3") is None


def test_a_workspace_keeps_so_many_jobs_and_no_more() -> None:
    jobs = QuarantineJobs()
    for number in range(KEEP_MOST + 5):
        jobs.apply(*encode(KIND, job(number, done_ms=NOW_MS + number)))
    assert sorted(old_job.id for old_job in jobs.outdated(NOW_MS)) == [f"qjb_{number}" for number in range(5)]


@pytest.mark.parametrize("value", [b"", b"{}", b"[" * 5000, b"null", b'{"id": 1}', b"\xff"])
def test_a_job_that_cannot_be_read_is_passed_over(value: bytes) -> None:
    jobs = QuarantineJobs()
    jobs.apply(encode(KIND, job(1))[0], value)
    jobs.apply(b"other/quarantine_job/qjb_1", encode(KIND, job(1))[1])
    jobs.apply(None, value)
    assert jobs.open() == []
