"""Whole lists and all of a person, streamed by a real read API: complete, each row once, in memory that stays flat."""

import csv
import io
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from sinks.clickhouse.consent_rows import CONSENT_CHANGES
from sinks.clickhouse.rows import CONTACTS, DELIVERY_ATTEMPTS, EVENTS, MEMBERSHIP_CHANGES, OVERRIDES
from sinks.read_api.lists.stream import ROWS
from tests.integration.contact_rows import contact, defined, member, merge
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, change, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

PEOPLE = 2 * ROWS + 7
ME, BEFORE = "external_id:me", "anonymous_id:before"


def attempt(n: int) -> dict[str, Any]:
    text = {
        "url": "https://x.io",
        "error": "",
        "type": "contact.updated",
        "status": "succeeded",
        "event_id": f"evt_{n}",
    }
    data = {"request_headers": b"{}", "request_body": b'{"a":1}', "response_body": b""}
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "webhook_id": "whk_1", "contact_id": cid(BEFORE)}
    numbers = {"attempt": 1, "response_code": 200, "duration_ms": 1, "at_ms": NOW_MS + n, "next_ms": 0}
    return {**home, **text, **data, **numbers, "id": f"att_{n}", "delivery_id": f"dlv_{n}"}


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    settings = fresh_settings(tmp_path_factory.mktemp("lists"), kafka=kafka, clickhouse=clickhouse)
    async with reads(settings) as api:
        body: dict[str, Any] = {"attributes": {"plan": "=1+1"}, "email": "me@x.io"}
        people = (contact(f"external_id:n{n}", attributes={"n": n}) for n in range(PEOPLE - 1))
        await api.store(CONTACTS, contact(ME, **body), *people)
        await api.store(OVERRIDES, merge(BEFORE, ME))
        events = [event(ME, event_id=f"evt_{n}", timestamp_ms=NOW_MS + n) for n in range(PEOPLE)]
        await api.store(EVENTS, *events, event(BEFORE, event_id="evt_before"), event("external_id:n1", event_id="x"))
        await api.store(EVENTS, *events[:3])
        consent = b'{"consent": "sms", "value": true, "key": "k"}'
        await api.store(CONSENT_CHANGES, change(cid(BEFORE), "consent", 0, event_id="evt_c", profile=consent))
        turns = [member(ME, "seg_1", n, is_member=n % 2 == 1) for n in range(1, PEOPLE + 1)]
        await api.store(MEMBERSHIP_CHANGES, *turns, member("external_id:n1", "seg_1", 1))
        await api.store(DELIVERY_ATTEMPTS, attempt(1), attempt(2))
        await api.define("segment", defined("seg_1"))
        await api.get("/v1/segments")
        yield api


async def text_of(api: ReadPipeline, path: str, media: str, **query: Any) -> str:
    answer = await api.http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media
    assert "attachment" in answer.headers["content-disposition"]
    return answer.text


async def test_a_list_is_whole_in_each_form(api: ReadPipeline) -> None:
    text = await text_of(api, "/v1/contacts", "text/csv; charset=utf-8", format="csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    lines = await text_of(api, "/v1/contacts", "application/x-ndjson", format="ndjson")
    objects = [orjson.loads(line) for line in lines.splitlines()]
    by_page: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await api.get("/v1/contacts", cursor=cursor, limit=100)
        by_page += page["data"]
        cursor = page["next_cursor"]
    assert objects == by_page
    assert len(objects) == PEOPLE
    assert [row["id"] for row in rows] == [row["id"] for row in objects]
    (mine,) = [row for row in rows if row["external_id"] == "me"]
    # an attribute that no row of the first page has is no column of its own
    assert (mine["attributes"], mine["email"], mine["segments"]) == ('{"plan":"=1+1"}', "me@x.io", '["seg_1"]')
    assert sum(row["attributes.n"] != "" for row in rows) == PEOPLE - 1
    accepted = await api.http.get("/v1/contacts", headers={"Accept": "application/x-ndjson"})
    assert accepted.text == lines


async def test_filters_hold_and_pages_are_refused(api: ReadPipeline) -> None:
    text = await text_of(api, "/v1/events", "application/x-ndjson", format="ndjson", type="page_view")
    assert len({orjson.loads(line)["event_id"] for line in text.splitlines()}) == len(text.splitlines()) == PEOPLE + 2
    body = await text_of(api, "/v1/contacts", "text/csv; charset=utf-8", format="csv", external_id="n3")
    assert len(body.splitlines()) == 2
    none = await text_of(api, "/v1/contacts", "text/csv; charset=utf-8", format="csv", external_id="nobody")
    assert len(none.splitlines()) == 1, "the columns alone"
    for name in ("limit", "page", "cursor"):
        refused = await api.get("/v1/contacts", 422, format="csv", **{name: 1})
        assert refused["error"]["param"] == name
    assert (await api.get("/v1/contacts", 422, format="xlsx"))["error"]["param"] == "format"
    assert (await api.get("/v1/contacts/external_id:nobody/events", 404, format="csv"))["error"]["code"] == "not_found"
    assert (await api.get("/v1/segments/seg_9/contacts", 404, format="csv"))["error"]["code"] == "not_found"


@pytest.mark.parametrize("name", [ME, BEFORE, cid(BEFORE)])
async def test_an_export_has_everything_of_a_person_and_nothing_of_others(api: ReadPipeline, name: str) -> None:
    text = await text_of(api, f"/v1/contacts/{name}/export", "application/x-ndjson")
    rows = [orjson.loads(line) for line in text.splitlines()]
    kinds = Counter(row["kind"] for row in rows)
    expected = {"membership": PEOPLE, "event": PEOPLE + 1, "delivery": 2}
    assert kinds == expected | dict.fromkeys(("contact", "identity", "segment", "consent"), 1)
    assert rows[0]["email"] == "me@x.io"
    assert len({row["event_id"] for row in rows if row["kind"] == "event"}) == PEOPLE + 1
    assert [row["member"] for row in rows if row["kind"] == "membership"][:3] == [True, False, True]
    assert [row["request_body"] for row in rows if row["kind"] == "delivery"] == ['{"a":1}'] * 2
    assert (await api.get("/v1/contacts/external_id:nobody/export", 404))["error"]["code"] == "not_found"


async def test_a_client_that_does_not_read_holds_up_nobody(api: ReadPipeline) -> None:
    async with api.http.stream("GET", "/v1/events", params={"format": "csv"}) as answer:
        assert answer.status_code == 200
        assert (await anext(answer.aiter_bytes())).startswith(b"event_id,")
        assert (await api.get("/v1/contacts", limit=1))["meta"]["total"] == PEOPLE
