"""The read API's contacts, on a real engine: found by every id, with their events and segments, listed and filtered."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from schemas.times import iso
from sinks.clickhouse.rows import CONTACTS, EVENTS, MEMBERSHIP_CHANGES, OVERRIDES
from sinks.read_api.routes import READS
from tests.integration.contact_rows import contact, defined, member, merge
from tests.support.builders import NOW_MS, cid, event
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

SLASHED = "a/b c?ü"


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    """One contact of many ids, one that merged into it, and twenty-five others."""
    settings = fresh_settings(tmp_path_factory.mktemp("reads"), kafka=kafka, clickhouse=clickhouse)
    async with reads(settings) as api:
        named = ("external_id:u1", "email:a@b.c", "phone:+12025550123", "anonymous_id:x")
        body: dict[str, Any] = {
            "attributes": {"plan": "pro"},
            "consents": {"sms": False},
            "devices": [{"device_id": "d"}],
        }
        await api.store(
            CONTACTS,
            contact("external_id:u1", version=1),
            contact(*named, version=2, updated_ms=NOW_MS + 5000, email="a@b.c", **body),
            contact("anonymous_id:x", version=1),
            contact("anonymous_id:x", version=2, into=cid("external_id:u1")),
            contact(f"external_id:{SLASHED}"),
            *(contact(f"external_id:n{n}") for n in range(25)),
        )
        await api.store(
            OVERRIDES,
            *(merge(loser, "external_id:u1") for loser in named[1:]),
            merge("anonymous_id:given_back", "external_id:u1"),
            merge("anonymous_id:given_back", "anonymous_id:given_back", version=2),
        )
        await api.store(
            EVENTS,
            *(
                event("external_id:u1", event_id=f"evt_{n}", timestamp_ms=NOW_MS + n * 1000, properties={"n": n})
                for n in range(5)
            ),
            event("anonymous_id:x", event_id="evt_before", timestamp_ms=NOW_MS - 1000),
            event("anonymous_id:given_back", event_id="evt_other"),
            event("external_id:n1", event_id="evt_n1"),
        )
        # the same event again: stored apart from the first until the engine merges them
        await api.store(EVENTS, event("external_id:u1", event_id="evt_3", received_ms=NOW_MS + 9, properties={"n": 99}))
        await api.store(
            MEMBERSHIP_CHANGES,
            member("external_id:u1", "seg_1", 3),
            member("external_id:u1", "seg_2", 4),
            member("external_id:u1", "seg_2", 5, is_member=False),
            member("external_id:u1", "seg_deleted", 6),
            *(member(f"external_id:n{n}", "seg_1", 2) for n in range(3)),
        )
        for name in ("seg_1", "seg_2"):
            await api.define("segment", defined(name))
        await api.get("/v1/segments")  # a read behind the definitions, which those of contacts are not
        yield api


@pytest.mark.parametrize(
    "name",
    [
        cid("external_id:u1"),
        "external_id:u1",
        "user_id:u1",
        "distinct_id:u1",
        "email:A@b.c ",
        "phone:+1 202 555 0123",
        "anonymous_id:x",
        cid("anonymous_id:x"),
    ],
)
async def test_a_contact_by_any_of_its_ids(api: ReadPipeline, name: str) -> None:
    assert await api.get(f"/v1/contacts/{quote(name, safe='')}") == {
        "id": cid("external_id:u1"),
        "email": "a@b.c",
        "phone": "+12025550123",
        "external_id": "u1",
        "anonymous_ids": ["x"],
        "attributes": {"plan": "pro"},
        "consents": {"sms": False},
        "devices": [{"device_id": "d"}],
        "segments": ["seg_1"],
        "created_at": iso(NOW_MS),
        "updated_at": iso(NOW_MS + 5000),
    }


EXPORT = "/v1/contacts/{id}/export"
"""Lines, not a value: `test_whole_lists.py` reads it."""
CONTACT_PATHS = sorted({read.path for read in READS if read.path.startswith("/v1/contacts/{id}")} - {EXPORT})


def test_the_paths_of_a_contact_are_known() -> None:
    assert {path.removeprefix("/v1/contacts/{id}") for path in CONTACT_PATHS} >= {
        "",
        "/events",
        "/identity",
        "/segments",
    }


@pytest.mark.parametrize("path", CONTACT_PATHS)
async def test_an_id_that_lost_resolves_on_every_path(api: ReadPipeline, path: str) -> None:
    winner = await api.get(path.format(id=cid("external_id:u1")))
    for name in ("anonymous_id:x", cid("anonymous_id:x"), cid("email:a@b.c")):
        assert await api.get(path.format(id=quote(name, safe=""))) == winner


async def test_an_identifier_may_hold_any_character(api: ReadPipeline) -> None:
    answer = await api.get(f"/v1/contacts/external_id:{quote(SLASHED, safe='')}")
    assert (answer["id"], answer["external_id"], answer["email"]) == (cid(f"external_id:{SLASHED}"), SLASHED, None)


@pytest.mark.parametrize(
    "name",
    ["cnt_sb73xi2lbtktsaaaaaaaaaaaaaaaaaaa", "external_id:nobody", "email:none", "x", ":", "external_id:guest", "%ff"],
)
@pytest.mark.parametrize("what", ["", "/events", "/segments"])
async def test_nobody_is_not_found(api: ReadPipeline, name: str, what: str) -> None:
    answer = await api.get(f"/v1/contacts/{name}{what}", 404)
    assert answer["error"]["code"] == "not_found"


async def test_events_newest_first_each_once_with_those_of_merged_ids(api: ReadPipeline) -> None:
    answer = await api.get("/v1/contacts/anonymous_id:x/events")
    assert [e["event_id"] for e in answer["data"]] == ["evt_4", "evt_3", "evt_2", "evt_1", "evt_0", "evt_before"]
    assert answer["meta"] == {"total": 6, "page": 1, "limit": 20}
    assert answer["data"][1] == {
        "event_id": "evt_3",
        "contact_id": cid("external_id:u1"),
        "type": "page_view",
        "timestamp": iso(NOW_MS + 3000),
        "received_at": iso(NOW_MS),
        "properties": {"n": 3},
        "context": None,
        "campaign_id": None,
        "message_id": None,
        "variant": None,
        "channel": None,
        "source": "altacee",
        "identifiers": [{"type": "external_id", "value": "u1"}],
    }


async def walk(api: ReadPipeline, path: str, limit: int, **query: Any) -> list[list[Any]]:
    """Every page of a list, by cursor."""
    pages, cursor = [], ""
    while cursor is not None:
        answer = await api.get(path, cursor=cursor, limit=limit, **query)
        pages.append(answer["data"])
        cursor = answer["next_cursor"]
    return pages


async def test_events_by_page_and_by_cursor_are_the_same(api: ReadPipeline) -> None:
    path = "/v1/contacts/external_id:u1/events"
    by_page = [await api.get(path, limit=4, page=page) for page in (1, 2, 3)]
    assert [[e["event_id"] for e in p["data"]] for p in by_page] == [
        ["evt_4", "evt_3", "evt_2", "evt_1"],
        ["evt_0", "evt_before"],
        [],
    ]
    assert [p["meta"] for p in by_page] == [{"total": 6, "page": n, "limit": 4} for n in (1, 2, 3)]
    assert await walk(api, path, 4) == [p["data"] for p in by_page[:2]]


async def test_segments_of_a_contact(api: ReadPipeline) -> None:
    answer = await api.get("/v1/contacts/external_id:u1/segments")
    assert answer["data"] == [{"id": "seg_1", "since": iso(NOW_MS), "version": 1, "name": "named seg_1"}]


async def test_the_list_holds_every_contact_once_and_none_that_merged(api: ReadPipeline) -> None:
    everybody = {cid("external_id:u1"), cid(f"external_id:{SLASHED}"), *(cid(f"external_id:n{n}") for n in range(25))}
    pages = [await api.get("/v1/contacts", limit=10, page=n) for n in (1, 2, 3)]
    listed = [c["id"] for p in pages for c in p["data"]]
    assert (set(listed), len(listed)) == (everybody, 27)
    assert pages[0]["meta"] == {"total": 27, "page": 1, "limit": 10}
    assert [c["id"] for page in await walk(api, "/v1/contacts", 10) for c in page] == listed
    assert [len(page) for page in await walk(api, "/v1/contacts", 27)] == [27]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"email": "A@B.C"}, ["external_id:u1"]),
        ({"phone": "+1 202 555-0123"}, ["external_id:u1"]),
        ({"external_id": "n3"}, ["external_id:n3"]),
        ({"external_id": "n3", "email": "a@b.c"}, []),
        ({"email": "nobody@b.c"}, []),
        ({"segment_id": "seg_1"}, ["external_id:u1", "external_id:n0", "external_id:n1", "external_id:n2"]),
        ({"segment_id": "seg_2"}, []),
        ({"segment_id": "seg_1", "external_id": "n1"}, ["external_id:n1"]),
        ({"updated_since": iso(NOW_MS + 1)}, ["external_id:u1"]),
        ({"updated_since": str(NOW_MS + 1), "segment_id": "seg_1"}, ["external_id:u1"]),
        ({"updated_since": (NOW_MS + 10_000) // 1000}, []),
    ],
)
async def test_filters_of_the_list(api: ReadPipeline, query: dict[str, Any], expected: list[str]) -> None:
    answer = await api.get("/v1/contacts", **query)
    assert {c["id"] for c in answer["data"]} == {cid(name) for name in expected}
    assert answer["meta"]["total"] == len(expected)
    assert [c["id"] for page in await walk(api, "/v1/contacts", 1, **query) for c in page] == [
        c["id"] for c in answer["data"]
    ]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"page": "0"}, "page"),
        ({"page": "-1"}, "page"),
        ({"page": "²"}, "page"),
        ({"cursor": "", "page": "1"}, "page"),
        ({"cursor": "!"}, "cursor"),
        ({"cursor": "WzFd"}, "cursor"),
        ({"cursor": "ü"}, "cursor"),
        ({"email": "none"}, "email"),
        ({"email": ""}, "email"),
        ({"external_id": "null"}, "external_id"),
        ({"phone": "12"}, "phone"),
        ({"updated_since": "yesterday"}, "updated_since"),
    ],
)
async def test_a_wrong_parameter_is_named(api: ReadPipeline, query: dict[str, str], param: str) -> None:
    answer = await api.get("/v1/contacts", 422, **query)
    assert (answer["error"]["code"], answer["error"]["param"]) == ("invalid_field", param)


async def test_quotes_and_braces_are_values(api: ReadPipeline) -> None:
    for value in ("' OR 1=1 --", "{id:String}", "\\", "%(x)s", "\t\\n"):
        await api.get(f"/v1/contacts/external_id:{quote(value, safe='')}", 404)
        assert (await api.get("/v1/contacts", segment_id=value))["data"] == []


async def test_other_environments_have_other_contacts(api: ReadPipeline) -> None:
    await api.get("/v1/contacts/external_id:u1", 404, environment="staging")
    assert (await api.get("/v1/contacts", environment="staging"))["meta"]["total"] == 0
