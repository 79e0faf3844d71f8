"""Events that share an id and a time, as the read API shows and counts them."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from schemas import ids
from schemas.records.records import Event
from schemas.records.sameness import AGAIN, CHANGED, event_key
from sinks.clickhouse.consent_rows import CONSENT_CHANGES
from sinks.clickhouse.rows import CONTACTS, DUPLICATES, EVENTS, OVERRIDES
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event, ident
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, change, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

TASK = ids.task_id(NOW_MS, 3)


def one(name: str, kind: str, **more: Any) -> Event:
    place = {"origin_partition": 0, "origin_offset": 0, "origin_index": 0, "repeat": 0}
    total = {"total": 1}
    return event(name, event_id="3001", **{**place, "type": kind, "properties": total, "task_id": TASK, **more})


EVENTS_OF_ANN = [
    one("external_id:ann", "order"),
    one("external_id:ann", "invoice"),
    one("anonymous_id:z", "order", contact_id=cid("anonymous_id:z")),
]


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    """Three events of one id and one time, of a contact and a browser that merged into it, and their copies."""
    settings = fresh_settings(tmp_path_factory.mktemp("reads"), kafka=kafka, clickhouse=clickhouse)
    async with reads(settings) as api:
        body = {"identifiers": [ident("external_id:ann"), ident("anonymous_id:z")], "created_ms": NOW_MS}
        ann = cid("external_id:ann")
        await api.store(CONTACTS, change(ann, "profile", 1, profile=orjson.dumps({**body, "updated_ms": NOW_MS})))
        merge = {"loser": cid("anonymous_id:z"), "winner": ann, "version": 1, "at_ms": NOW_MS, "event_id": "m"}
        home = {"workspace": WORKSPACE, "environment": ENVIRONMENT}
        await api.store(OVERRIDES, {**home, **merge, "identifier": ident("anonymous_id:z")})
        await api.store(EVENTS, *EVENTS_OF_ANN)
        copies = [{**EVENTS_OF_ANN[0], "repeat": AGAIN}, {**EVENTS_OF_ANN[1], "repeat": CHANGED, "origin_offset": 1}]
        await api.store(DUPLICATES, *copies)
        messages = [
            change(ann, "consent", n, event_id="3001", profile=orjson.dumps({"consent": "sms", "value": v, "key": key}))
            for n, (v, key) in enumerate(((True, event_key(EVENTS_OF_ANN[1])), (False, event_key(EVENTS_OF_ANN[0]))))
        ]
        await api.store(CONSENT_CHANGES, *messages)
        yield api


async def pages(api: ReadPipeline, path: str) -> list[dict[str, Any]]:
    """Everything, one by one."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = await api.get(path, limit=1, cursor=cursor)
        items += page["data"]
        cursor = page["next_cursor"]
    return items


async def test_a_contacts_pages_show_each_of_them_once(api: ReadPipeline) -> None:
    path = f"/v1/contacts/{cid('external_id:ann')}/events"
    rows = await pages(api, path)
    assert sorted(e["type"] for e in rows) == ["invoice", "order", "order"]
    assert {e["event_id"] for e in rows} == {"3001"}
    assert (await api.get(path))["meta"]["total"] == 3
    assert (await api.get(path, page=4, limit=1))["meta"]["total"] == 3


async def test_each_consent_of_one_id_is_shown(api: ReadPipeline) -> None:
    rows = await pages(api, f"/v1/contacts/{cid('external_id:ann')}/consents")
    assert sorted(row["value"] for row in rows) == [False, True]


async def test_the_rule_in_sql_counts_each(api: ReadPipeline) -> None:
    for rule in (
        {"event": "order", "count": {"op": "eq", "value": 2}},
        {"event": "order", "sum": {"property": "total", "op": "eq", "value": 2}},
        {"absent": {"event": "refund"}, "after": {"event": "invoice"}, "for": "1s"},
    ):
        answer = await api.http.post("/v1/segments/preview", json={"rule": rule})
        body = answer.json()
        assert (body["contacts"], body["sample"]) == (1, [cid("external_id:ann")]), (rule, answer.text)


async def test_a_task_is_done_when_each_of_them_is(api: ReadPipeline) -> None:
    answer = await api.get(f"/v1/tasks/{TASK}")
    assert answer["status"] == "completed"
    assert (
        sorted((e["disposition"], e["reason"]) for e in answer["events"] if e["disposition"] == "stored")
        == [("stored", None)] * 3
    )
    assert sorted(str(e["reason"]) for e in answer["events"] if e["disposition"] == "duplicate") == [
        "None",
        "event_id_conflict",
    ]


async def test_usage_counts_each_and_their_copies(api: ReadPipeline) -> None:
    totals = (await api.get("/v1/usage", days=90))["totals"]
    assert (totals["events"], totals["duplicates"]) == (3, 2)
