"""Consents reach the contact from each dialect that has a place for them."""

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from ingest.dialects import consents
from processors.membership.contact_state import Contact
from tests.property.world_segments import HOUR, NOW, SegmentsWorld, event
from tests.support.edge import PUBLIC, SECRET, MemoryLog, client_of, memory_edge


async def profiles(tmp_path: Path, path: str, body: Any, headers: dict[str, str]) -> tuple[httpx.Response, list[Any]]:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        answer = await client.post(path, json=body, headers=headers)
    return answer, [orjson.loads(event["profile"] or b"{}") for event in log.events]


@pytest.mark.parametrize("headers", [SECRET, PUBLIC], ids=["secret", "public"])
async def test_an_event_gives_and_withdraws_consents(tmp_path: Path, headers: dict[str, str]) -> None:
    consents = {"email_marketing": True, "sms_marketing": False, "old": None}
    call = {"type": "banner_closed", "anonymous_id": "a1", "consents": consents}
    answer, stored = await profiles(tmp_path, "/v1/events", call, headers)
    assert (answer.status_code, stored) == (202, [{"consents": consents}])
    empty: tuple[Any, ...] = (None, {}, [])
    batch = {"events": [{**call, "consents": nothing} for nothing in empty]}
    answer, stored = await profiles(tmp_path / "x", "/v1/events/batch", batch, headers)
    assert (answer.status_code, stored) == (202, [{}, {}, {}])


@pytest.mark.parametrize(
    ("consents", "param"),
    [
        ({"email_marketing": "yes"}, "consents.email_marketing"),
        ({"email_marketing": 1}, "consents.email_marketing"),
        (["email_marketing"], "consents"),
        (True, "consents"),
        ({f"c{n}": True for n in range(101)}, "consents"),
    ],
)
async def test_what_is_no_consent_is_refused_by_its_name(tmp_path: Path, consents: Any, param: str) -> None:
    body = {"events": [{"type": "a", "user_id": "u", "consents": consents}, {"type": "a", "user_id": "u"}]}
    answer, stored = await profiles(tmp_path, "/v1/events/batch", body, SECRET)
    assert answer.status_code == 202
    assert answer.json()["results"][0]["error"]["param"] == f"events[0].{param}"
    assert stored == [{}]


@pytest.mark.parametrize(
    ("context", "state"),
    [
        ({"consent": {"categoryPreferences": {"Advertising": True, "Analytics": False, "odd": "x"}}}, (True, False)),
        (
            {"consentManagement": {"allowedConsentIds": ["Advertising", 3], "deniedConsentIds": ["Analytics"]}},
            (True, False),
        ),
        ({"consent": {"categoryPreferences": []}}, None),
        ({"consent": "yes", "consentManagement": [1]}, None),
    ],
)
@pytest.mark.parametrize("kind", ["track", "identify", "page", "alias"])
async def test_segment_and_rudderstack_say_in_the_context_what_holds(
    tmp_path: Path, kind: str, context: Any, state: Any
) -> None:
    call = {"type": kind, "event": "a", "userId": "u", "previousId": "p", "traits": {"plan": "pro"}, "context": context}
    answer, (stored,) = await profiles(tmp_path, "/v1/batch", {"batch": [call], "writeKey": "pk_dev_local"}, {})
    assert answer.status_code == 200, answer.text
    expected = {"set": {"plan": "pro"}} if kind == "identify" else {}
    if state:
        expected["consent_state"] = dict(zip(("Advertising", "Analytics"), state, strict=True))
    assert stored == expected


async def test_altcraft_says_them_as_subscriptions(tmp_path: Path) -> None:
    data = {
        "email": "a@b.c",
        "subscriptions": [
            {"channel": "email", "status": "unsubscribed"},
            {"channel": "email", "status": "subscribed"},
            {"channel": "SMS", "status": "hardbounced"},
            {"channel": "push"},
            "odd",
        ],
    }
    body = {"token": "sk_dev_local", "db_id": 1, "matching": "email", "data": data}
    answer, (stored,) = await profiles(tmp_path, "/api/v1.1/profiles/import", body, {})
    assert answer.json()["error"] == 0, answer.text
    assert stored["consents"] == {"email_marketing": True, "sms_marketing": False, "push_marketing": True}
    assert consents.subscribed({"channel": "email", "status": "unsubscribed"}) == {"email_marketing": False}
    assert consents.subscribed("x") == {}


def told(changes: list[Any]) -> list[tuple[str, Any]]:
    consents = [orjson.loads(change["profile"]) for change in changes if change["kind"] == "consent"]
    return [(consent["consent"], consent["value"]) for consent in consents]


def test_what_holds_is_kept_as_a_change_only_where_it_changed() -> None:
    world = SegmentsWorld(ads={"consent": "ads", "value": True})
    assert told(world.send(event("page", event_id="1", state={"ads": True, "stats": False}))) == [
        ("ads", True),
        ("stats", False),
    ]
    assert told(world.send(event("page", event_id="2", at=NOW + 1, state={"ads": True, "stats": False}))) == []
    changes = world.send(event("page", event_id="3", at=NOW + 2, state={"ads": False, "stats": False}))
    assert told(changes) == [("ads", False)]
    assert [change["member"] for change in changes if change["kind"] == "membership"] == [False]
    same = event("page", event_id="4", at=NOW + 3, consents={"ads": False})
    assert told(world.send(same)) == [("ads", False)], "one that was given again is a change of its own"


def test_what_holds_obeys_the_time_of_its_event_in_any_order() -> None:
    events = [event("page", event_id=str(n), at=NOW - n * HOUR, state={"ads": n % 2 == 0}) for n in range(4)]
    worlds = [SegmentsWorld(), SegmentsWorld()]
    for world, order in zip(worlds, (events, events[::-1]), strict=True):
        for place in order:
            world.send(place)
    for world in worlds:
        ((_, row),) = world.rows()
        assert isinstance(row, Contact)
        assert row.consents["ads"][:2] == [True, NOW]
