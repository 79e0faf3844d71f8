"""The read API's segments, keys, environments, tasks and quarantine, and who may read what, on real services."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from schemas.control import control_state, development
from schemas.control.control_state import ApiKey, Segment, SegmentProgress
from schemas.ids import task_id
from schemas.records.records import Quarantined
from schemas.times import iso
from sinks.clickhouse.rows import CONTACTS, DUPLICATES, EVENTS, MEMBERSHIP_CHANGES, QUARANTINE
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, change, reads
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

RULE = {"attribute": "plan", "op": "eq", "value": "pro"}
TASK, UNFINISHED = task_id(NOW_MS, 3), task_id(NOW_MS, 2)
TODAY_MS = time.time_ns() // 1_000_000
"""What is in quarantine goes after thirty days."""


def segment(name: str, n: int, **more: Any) -> Segment:
    fields = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "rule": RULE, "version": 1, **more}
    return Segment(id=f"seg_{name}", name=name, created_ms=NOW_MS + n, updated_ms=NOW_MS + n, **fields)


def progress(name: str, partition: int) -> SegmentProgress:
    """Each partition has read one contact's history, of one that it has."""
    return SegmentProgress(
        id=f"{name}.{partition}",
        workspace=WORKSPACE,
        created_ms=NOW_MS,
        segment=name,
        partition=partition,
        version=1,
        state="live",
        done=1,
        total=1,
    )


def key(name: str, *scopes: str, **more: Any) -> ApiKey:
    fields = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "kind": "secret", "created_ms": NOW_MS, **more}
    return ApiKey(id=f"key_{name}", name=name, scopes=scopes, sha256=control_state.digest(f"sk_{name}"), **fields)


def quarantined(offset: int, workspace: str) -> Quarantined:
    return Quarantined(
        topic="resolved",
        partition=0,
        offset=offset,
        index=1,
        workspace=workspace,
        event_id="evt_q" if workspace else "",
        reason="unstorable",
        detail="why",
        at_ms=TODAY_MS + offset,
        key=b"",
        payload=b"\xff\x00secret",
    )


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    settings = fresh_settings(tmp_path_factory.mktemp("reads"), kafka=kafka, clickhouse=clickhouse)
    async with reads(settings) as api:
        await api.define("segment", segment("a", 1))
        await api.define("segment", segment("b", 2))
        for n in range(settings.partitions):
            await api.define("progress", progress("seg_a", n))
        await api.define("segment", segment("elsewhere", 3, environment="staging"))
        await api.define("segment", segment("foreign", 3, workspace="other"))
        await api.define("key", key("reader", "contacts:read"))
        await api.define("key", key("expired", "contacts:read", expires_ms=NOW_MS - 1_000_000_000_000))
        await api.define("key", key("foreign", "admin", workspace="other"))
        members = [cid(f"external_id:n{n}") for n in range(3)]
        await api.store(CONTACTS, *(change(contact, "profile", 1, profile=b"{}") for contact in members))
        await api.store(
            MEMBERSHIP_CHANGES,
            *(
                change(c, "membership", n, segment_id="seg_a", member=n < 13, segment_version=1, at_ms=NOW_MS + n)
                for n, c in [*enumerate(members, 10), (13, members[0])]
            ),
        )
        await api.store(EVENTS, event("external_id:u1", event_id="evt_b", task_id=TASK))
        await api.store(EVENTS, event("external_id:u1", event_id="evt_a", task_id=TASK, environment="staging"))
        await api.store(DUPLICATES, event("external_id:u1", event_id="evt_c", task_id=TASK))
        await api.store(EVENTS, event("external_id:u1", event_id="evt_d", task_id=UNFINISHED))
        await api.store(QUARANTINE, quarantined(1, WORKSPACE), quarantined(2, ""), quarantined(3, "other"))
        yield api


SEGMENT_A = {
    "id": "seg_a",
    "name": "a",
    "kind": "rule",
    "rule": RULE,
    "version": 1,
    "status": "live",
    "progress": {"contacts_done": 4, "contacts_total": 4},
    "contacts": 2,
    "fresh_as_of": iso(NOW_MS + 13),
    "created_at": iso(NOW_MS + 1),
    "updated_at": iso(NOW_MS + 1),
}


async def test_a_segment_and_how_many_are_in_it(api: ReadPipeline) -> None:
    assert await api.get("/v1/segments/seg_a") == SEGMENT_A


async def test_segments_of_the_environment_alone(api: ReadPipeline) -> None:
    answer = await api.get("/v1/segments")
    assert answer["data"][0] == SEGMENT_A
    shown = [(s["id"], s["status"], s["contacts"]) for s in answer["data"]]
    assert shown == [("seg_a", "live", 2), ("seg_b", "backfilling", 0)]
    assert answer["meta"] == {"total": 2, "page": 1, "limit": 20}
    staging = await api.get("/v1/segments", environment="staging")
    assert [s["id"] for s in staging["data"]] == ["seg_elsewhere"]
    await api.get("/v1/segments/seg_elsewhere", 404)
    await api.get("/v1/segments/seg_foreign/contacts", 404)


async def test_segments_by_cursor(api: ReadPipeline) -> None:
    first = await api.get("/v1/segments", cursor="", limit=1)
    second = await api.get("/v1/segments", cursor=first["next_cursor"], limit=1)
    assert [s["id"] for s in first["data"] + second["data"]] == ["seg_a", "seg_b"]
    assert second["next_cursor"] is None


async def test_the_contacts_of_a_segment(api: ReadPipeline) -> None:
    answer = await api.get("/v1/segments/seg_a/contacts")
    assert {c["id"]: c["segments"] for c in answer["data"]} == {
        cid("external_id:n1"): ["seg_a"],
        cid("external_id:n2"): ["seg_a"],
    }
    assert answer["meta"]["total"] == 2
    assert (await api.get("/v1/segments/seg_b/contacts"))["data"] == []


async def test_a_definition_is_read_as_soon_as_it_is_acknowledged(api: ReadPipeline) -> None:
    for version in range(2, 6):
        await api.define("segment", segment("edited", 9, version=version))
        assert (await api.get("/v1/segments/seg_edited"))["version"] == version
    await api.define("segment", segment("edited", 9, deleted=True))
    await api.get("/v1/segments/seg_edited", 404)


async def test_keys_show_neither_secret_nor_hash(api: ReadPipeline) -> None:
    answer = await api.http.get("/v1/keys")
    rows = {row["id"]: row for row in answer.json()["data"]}
    assert rows.keys() == {"key_local_secret", "key_local_public", "key_reader", "key_expired"}
    assert rows["key_reader"] == {
        "id": "key_reader",
        "name": "reader",
        "kind": "secret",
        "scopes": ["contacts:read"],
        "environment": ENVIRONMENT,
        "created_at": iso(NOW_MS),
        "expires_at": None,
        "rate_limit": None,
        "last_used_at": None,
    }
    assert control_state.digest("sk_reader") not in answer.text
    assert "sk_" not in answer.text.replace("key_local_secret", "")


async def test_environments(api: ReadPipeline) -> None:
    answer = await api.get("/v1/environments")
    assert [(e["id"], e["number"]) for e in answer["data"]] == [("production", 1), ("staging", 2)]


@pytest.mark.parametrize("path", ["/v1/tasks", "/tasks"])
async def test_a_task_says_what_became_of_its_events(api: ReadPipeline, path: str) -> None:
    assert await api.get(f"{path}/{TASK}") == {
        "task_id": TASK,
        "status": "completed",
        "progress": {"total": 3, "done": 3},
        "events": [
            {"event_id": "evt_a", "disposition": "stored", "reason": None},
            {"event_id": "evt_b", "disposition": "stored", "reason": None},
            {"event_id": "evt_c", "disposition": "duplicate", "reason": None},
        ],
    }


async def test_a_task_is_pending_until_all_its_events_are_stored(api: ReadPipeline) -> None:
    assert await api.get(f"/v1/tasks/{UNFINISHED}") == {
        "task_id": UNFINISHED,
        "status": "pending",
        "progress": {"total": 2, "done": 1},
        "events": [{"event_id": "evt_d", "disposition": "stored", "reason": None}],
    }


async def test_a_task_without_rows_is_pending_until_its_events_would_be_gone(api: ReadPipeline) -> None:
    now = time.time_ns() // 1_000_000
    fresh, ahead, old = (task_id(now + ms, 1) for ms in (0, 3_600_000, -8 * 86_400_000))
    assert await api.get(f"/v1/tasks/{fresh}") == {
        "task_id": fresh,
        "status": "pending",
        "progress": {"total": 1, "done": 0},
        "events": [],
    }
    for unknown in (ahead, old, "x", "00000000-0000-4000-8000-000000000000", ""):
        await api.get(f"/v1/tasks/{unknown}", 404)


async def test_quarantine_shows_ones_own(api: ReadPipeline) -> None:
    answer = await api.get("/v1/quarantine")
    assert [(row["id"], row["reason"], row["at"]) for row in answer["data"]] == [
        ("resolved:0:2:1", "unstorable", iso(TODAY_MS + 2)),
        ("resolved:0:1:1", "unstorable", iso(TODAY_MS + 1)),
    ]
    assert answer["meta"]["total"] == 2
    await api.define("key", key("admin", "admin"))
    admin = {"Authorization": "Bearer sk_admin"}
    rows = await eventually(lambda: listed(api, admin), "the new key")
    assert [row["id"] for row in rows] == ["resolved:0:1:1"], "what says nobody's name is for who runs the instance"


async def listed(api: ReadPipeline, headers: dict[str, str]) -> Any:
    answer = await api.http.get("/v1/quarantine", headers=headers)
    return answer.json()["data"] if answer.is_success else None


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, {}, 401),
        ({"Authorization": "Bearer sk_wrong"}, {}, 401),
        ({"Authorization": "Basic c2tfcmVhZGVyOg=="}, {}, 200),
        ({"Authorization": "Basic c2tfd3Jvbmc6"}, {}, 401),
        ({"Authorization": "Bearer sk_expired"}, {}, 401),
        ({"Authorization": "Bearer sk_reader"}, {}, 200),
        ({"authorization": "bearer sk_reader"}, {}, 200),
        ({"X-API-Key": "sk_reader"}, {}, 200),
        ({}, {"apiKey": "sk_reader"}, 200),
        ({"Authorization": f"Bearer {development.PUBLIC_KEY}"}, {}, 403),
        ({"Authorization": "Bearer sk_reader"}, {"environment": "staging"}, 200),
        ({"Authorization": "Bearer sk_reader", "Headwater-Environment": "nowhere"}, {}, 422),
    ],
)
async def test_who_may_read(api: ReadPipeline, headers: dict[str, str], query: dict[str, str], status: int) -> None:
    del api.http.headers["Authorization"]
    try:
        answer = await api.http.get("/v1/contacts", headers=headers, params=query)
    finally:
        api.http.headers["Authorization"] = f"Bearer {development.SECRET_KEY}"
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["error"]["param"] == "environment"


@pytest.mark.parametrize(
    "path", ["/v1/segments", "/v1/segments/x/contacts", "/v1/keys", "/v1/environments", "/v1/quarantine"]
)
async def test_each_path_has_its_scope(api: ReadPipeline, path: str) -> None:
    answer = await api.http.get(path, headers={"Authorization": "Bearer sk_reader"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "missing_scope")


async def test_a_revoked_key_ends_within_a_second(api: ReadPipeline) -> None:
    headers = {"Authorization": "Bearer sk_brief"}

    async def status(code: int) -> bool:
        return (await api.http.get("/v1/contacts", headers=headers)).status_code == code

    await api.define("key", key("brief", "contacts:read"))
    await eventually(lambda: status(200), "the key")
    await api.define("key", key("brief", "contacts:read", deleted=True))
    await eventually(lambda: status(401), "its end", within_s=1)


async def test_every_answer_has_a_request_id(api: ReadPipeline) -> None:
    given = await api.http.get("/v1/environments", headers={"X-Request-Id": "mine-1"})
    odd = await api.http.get("/v1/environments", headers={"X-Request-Id": "a b\tc"})
    lost = await api.http.get("/nowhere")
    wrong = await api.http.post("/v1/contacts", headers={"X-Request-Id": "mine-2"})
    assert given.headers["X-Request-Id"] == "mine-1"
    assert odd.headers["X-Request-Id"].startswith("req_")
    assert (lost.status_code, wrong.status_code) == (404, 405)
    assert lost.json()["error"] == {
        "code": "not_found",
        "message": "no such path",
        "request_id": lost.headers["X-Request-Id"],
    }
    assert wrong.json()["error"]["code"] == "method_not_allowed"
    assert wrong.json()["error"]["request_id"] == wrong.headers["X-Request-Id"] == "mine-2"
    assert "GET" in wrong.headers["Allow"]
