"""A page of a launch and what the tables answer about it in; how they are queried, and who is left, out."""

from collections.abc import Sequence
from typing import Any

from schemas.control.launch_jobs import Audience, LaunchJob, ids_of
from schemas.records.records import REQUESTED
from sinks.launch import reached
from sinks.launch.reached import MOST_ASKED, ReachedContacts
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE

FIELD_BYTES = 128 << 10
"""As much as ClickHouse takes in a field of a request."""
CAMPAIGN = "cmp_1"


async def test_a_page_that_merged_with_many_is_asked_about_in_parts() -> None:
    launch = LaunchJob(
        id="lch_1",
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        campaign=CAMPAIGN,
        audience=Audience(segment="seg_1"),
        key_id="key_1",
        created_ms=NOW_MS,
    )
    page = [f"cnt_{n}" for n in range(3)]
    losers = [(f"cnt_lost_{n}", page[n % 2]) for n in range(2 * MOST_ASKED + 1)]
    stored = ids_of(launch.id, WORKSPACE, CAMPAIGN, losers[-1][0], REQUESTED).event_id
    requests: list[list[str]] = []

    async def rows(job: LaunchJob, query: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        assert job is launch
        if query == reached._LOSERS:
            return losers
        if query == reached._EVENTS:
            requests.append(parameters["ids"])
            return [(stored,)] if stored in parameters["ids"] else []
        return []

    assert await ReachedContacts(rows).people(launch, page) == ["cnt_1", "cnt_2"], "of the last part, too"
    assert sum(map(len, requests)) == len(losers)
    assert max(len(str(ids)) for ids in requests) < FIELD_BYTES
