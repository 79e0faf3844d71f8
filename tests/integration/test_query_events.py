"""`GET /v1/events`, on a real engine: every event once and in one order, whoever writes meanwhile, filtered."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from schemas.records.records import Event, Merge
from schemas.times import iso
from sinks.clickhouse.rows import CONTACTS, EVENTS, OVERRIDES
from sinks.read_api.contacts.event_list import MOST_GROUPS
from tests.integration.contact_rows import contact
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event, ident
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]
MANY = MOST_GROUPS + 5


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    """Of two types and campaigns, of two senders with one id, of nobody, of more types than a request looks through."""
    settings = fresh_settings(tmp_path_factory.mktemp("events"), kafka=kafka, clickhouse=clickhouse)

    def made(who: int, event_id: str, kind: str, after_ms: int) -> Event:
        has = {"plan": 1} if kind == "seen" and after_ms % 2 else {}
        has |= {"n": 2} if kind == "seen" and after_ms >= 147 else {}
        at = NOW_MS + after_ms
        return event(f"external_id:u{who}", event_id=event_id, type=kind, timestamp_ms=at, properties=has)

    async with reads(settings) as api:
        seen = [made(n % 3, f"e{n:03}", "seen", n) for n in range(150)]
        rare = [made(1, "r", f"rare_{n:03}", -n) for n in range(1, MANY + 1)]
        twins = [made(n, "twin", "twin", -500) for n in range(2)]
        mail = event("email:a@b.c", event_id="m", type="message.sent", campaign_id="cmp_1", timestamp_ms=NOW_MS - 900)
        stray = event(event_id="nobody", type="stray", timestamp_ms=NOW_MS - 800)
        await api.store(EVENTS, *seen, *rare, *twins, mail, stray)
        await api.store(EVENTS, event("external_id:u1", event_id="e001", type="seen", received_ms=NOW_MS + 9))
        merge = Merge(
            workspace=WORKSPACE,
            environment=ENVIRONMENT,
            loser=cid("email:a@b.c"),
            winner=cid("external_id:u1"),
            version=1,
            at_ms=NOW_MS,
            event_id="evt_m",
            identifier=ident("email:a@b.c"),
        )
        await api.store(OVERRIDES, merge)
        await api.store(CONTACTS, contact("external_id:u0"))
        yield api


async def all_of(api: ReadPipeline, limit: int = 100, filters: Any = None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await api.get("/v1/events", limit=limit, cursor=cursor, **(filters or {}))
        assert len(page["data"]) <= limit
        rows, cursor = rows + page["data"], page["next_cursor"]
    return rows


@pytest.mark.parametrize("limit", [1, 7, 50, 100])
async def test_each_event_comes_once_whatever_a_page_holds(api: ReadPipeline, limit: int) -> None:
    rows = await all_of(api, limit)
    keys = [(row["campaign_id"] or "", row["type"], row["event_id"]) for row in rows]
    assert len(rows) == 150 + MANY + 2 + 1 + 1
    assert keys == sorted(keys)
    pages = [await api.get("/v1/events", limit=100, page=page) for page in (1, 2)]
    assert [row["event_id"] for page in pages for row in page["data"]] == [row["event_id"] for row in rows]
    assert pages[0]["meta"]["total"] == len(rows)


async def test_an_event_names_the_contact_that_it_belongs_to_today(api: ReadPipeline) -> None:
    by_id = {row["event_id"]: row for row in await all_of(api)}
    assert by_id["m"]["contact_id"] == cid("external_id:u1")
    assert by_id["nobody"]["contact_id"] is None
    assert by_id["e002"]["contact_id"] == cid("external_id:u2")


async def test_filters(api: ReadPipeline) -> None:
    assert len(await all_of(api, filters={"type": "seen"})) == 150
    assert await all_of(api, filters={"type": "no such type"}) == []
    some = await all_of(api, filters={"from": iso(NOW_MS + 10), "to": iso(NOW_MS + 20)})
    assert [row["event_id"] for row in some] == [f"e{n:03}" for n in range(10, 20)]
    # nothing in the first types that are looked through: an empty page with a cursor, and then what there is
    late = await all_of(api, filters={"from": iso(NOW_MS + 149)})
    assert [row["event_id"] for row in late] == ["e149"]
    query: dict[str, Any] = {"type": "seen", "from": iso(NOW_MS + 149)}
    assert (await api.get("/v1/events", **query))["meta"]["total"] == 1


async def test_a_contacts_events_are_filtered_alike(api: ReadPipeline) -> None:
    async def of(**query: Any) -> Any:
        return await api.get(f"/v1/contacts/{cid('external_id:u0')}/events", **query)

    assert (await of(type="seen"))["meta"]["total"] == 50
    assert {row["type"] for row in (await of(type="twin"))["data"]} == {"twin"}
    some = {"from": iso(NOW_MS + 9), "to": iso(NOW_MS + 15)}
    assert [row["event_id"] for row in (await of(**some))["data"]] == ["e012", "e009"]
    assert (await of(**some, page=2))["meta"]["total"] == 2
    first = await of(**some, cursor="", limit=1)
    assert [row["event_id"] for row in (await of(**some, cursor=first["next_cursor"]))["data"]] == ["e009"]
    refused = await api.get(f"/v1/contacts/{cid('external_id:u0')}/events", 422, **{"from": "soon"})
    assert refused["error"]["param"] == "from"


async def test_the_types_of_events_and_their_properties(api: ReadPipeline) -> None:
    page = await api.get("/v1/event-types", limit=100)
    by_type = {row["type"]: row for row in page["data"]}
    assert page["meta"]["total"] == len(by_type) == MANY + 4
    assert [row["type"] for row in page["data"]] == sorted(by_type)
    seen = by_type["seen"]
    assert (seen["events"], by_type["twin"]["events"]) == (150, 2), "each once, and two senders' are two"
    assert (seen["first_seen"], seen["last_seen"]) == (iso(NOW_MS), iso(NOW_MS + 9))
    assert seen["properties"] == [{"name": "plan", "share": 0.4967}, {"name": "n", "share": 0.0199}], "of 151 rows"
    items: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        some = await api.get("/v1/event-types", limit=7, cursor=cursor)
        items, cursor = items + some["data"], some["next_cursor"]
    assert items == page["data"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": "soon"}, "from"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "to"),
        ({"cursor": "WyJ4Il0"}, "cursor"),
        ({"cursor": "", "page": 1}, "page"),
        ({"typ": "x"}, "typ"),
    ],
)
async def test_a_wrong_question_is_refused_by_its_name(api: ReadPipeline, query: dict[str, Any], param: str) -> None:
    assert (await api.get("/v1/events", 422, **query))["error"]["param"] == param
