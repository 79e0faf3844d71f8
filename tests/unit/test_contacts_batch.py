"""`POST /v1/contacts/batch`: each item by the rules of a single upsert, at an edge without a broker."""

from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson

from schemas.ids import count_of
from schemas.records import identity
from tests.support.edge import NOW_MS, PUBLIC, SECRET, MemoryLog, RecordedReads, client_of, memory_edge

PATH = "/v1/contacts/batch"
HERE = ("local", "production")
KNOWN = identity.contact_id(*HERE, "external_id", "known")
FOREIGN = identity.contact_id("other", "production", "external_id", "known")


def owner(**attributes: Any) -> dict[str, Any]:
    return {"id": KNOWN, "identifiers": [{"type": "external_id", "value": "known"}], "attributes": attributes}


async def post(edge: Any, body: Any, reads: RecordedReads | None = None, headers: Any = None) -> httpx.Response:
    async with client_of(edge, reads) as client:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await client.post(
            PATH, content=content, headers={**SECRET, "Content-Type": "application/json", **(headers or {})}
        )


async def test_items_that_are_wrong_cost_only_themselves(tmp_path: Path) -> None:
    log = MemoryLog()
    items = [
        {
            "external_id": "u1",
            "email": " A@X.org ",
            "attributes": {"plan": "pro"},
            "consents": {"email_marketing": True},
        },
        {"attributes": {"plan": "pro"}},
        {"external_id": "u2", "atributes": {}},
        {"external_id": "u3", "consents": {"email_marketing": "yes"}},
        {"external_id": "u4", "user_id": "u5"},
        {"external_id": "null"},
        {"email": "b@x.org", "environment": "nowhere"},
        {"id": FOREIGN, "attributes": {"plan": "pro"}},
        {"external_id": "u6", "attributes": {f"a{n}": n for n in range(1001)}},
        {"external_id": "u7", "timestamp": "soon"},
        17,
        {"phone": "+12025550123", "environment": "staging", "devices": [{"device_id": "d1"}]},
    ]
    answer = await post(memory_edge(tmp_path, log), {"contacts": items})
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (2, 10)
    refused = {
        result["index"]: (result["error"]["code"], result["error"].get("param"))
        for result in body["results"]
        if "error" in result
    }
    assert refused == {
        1: ("missing_field", "contacts[1].user_id"),
        2: ("unknown_field", "contacts[2].atributes"),
        3: ("invalid_field", "contacts[3].consents.email_marketing"),
        4: ("invalid_field", "contacts[4].user_id"),
        5: ("invalid_field", "contacts[5].external_id"),
        6: ("unknown_environment", "contacts[6].environment"),
        7: ("invalid_field", "contacts[7].id"),
        8: ("invalid_field", "contacts[8].attributes"),
        9: ("invalid_field", "contacts[9].timestamp"),
        10: ("invalid_field", "contacts[10]"),
    }
    first, last = log.events
    assert body["results"][0] == {"index": 0, "id": first["contact_id"]}
    assert orjson.loads(first["profile"]) == {"set": {"plan": "pro"}, "consents": {"email_marketing": True}}
    assert [(identifier["type"], identifier["value"]) for identifier in first["identifiers"]] == [
        ("external_id", "u1"),
        ("email", "a@x.org"),
    ]
    assert (last["environment"], last["kind"], last["type"]) == ("staging", "contact", "$contact")
    assert {first["task_id"], last["task_id"]} == {body["task_id"]}
    assert count_of(UUID(body["task_id"])) == 2


async def test_a_batch_has_one_to_a_thousand_contacts(tmp_path: Path) -> None:
    edge = memory_edge(tmp_path, MemoryLog())
    some = [{"external_id": f"u{n}"} for n in range(1001)]
    assert (await post(edge, {"contacts": some[:1000]})).json()["accepted"] == 1000
    over = await post(edge, some)
    assert (over.status_code, over.json()["error"]["param"]) == (413, "contacts")
    for body, status in (([], 422), ({"contacts": []}, 422), ({"contacts": {}}, 422), ({"people": []}, 422), (7, 400)):
        assert (await post(edge, body)).status_code == status, body
    mixed = await post(edge, {"contacts": some[:1], "sync": True})
    assert mixed.json()["error"]["param"] == "sync"
    none = await post(edge, [{"external_id": ""}])
    assert (none.status_code, none.json()["error"]["param"]) == (422, "contacts")
    assert none.json()["results"][0]["error"]["param"] == "contacts[0].external_id"


async def test_contacts_named_by_id_have_to_exist_and_are_asked_for_together(tmp_path: Path) -> None:
    log = MemoryLog()
    full = {f"a{n}": n for n in range(1000)}
    reads = RecordedReads({"/internal/contacts/found": [200, {"contacts": [owner(**full), None]}]})
    gone = identity.contact_id(*HERE, "external_id", "gone")
    items = [
        {"id": KNOWN, "attributes": {"a0": "new"}},
        {"external_id": "u1"},
        {"id": gone},
        {"id": KNOWN, "attributes": {"b": 1}},
    ]
    answer = await post(memory_edge(tmp_path, log), items, reads)
    assert answer.status_code == 202, answer.text
    results = answer.json()["results"]
    assert results[0] == {"index": 0, "id": KNOWN}
    assert results[2]["error"] == {"code": "not_found", "message": "no such contact", "param": "contacts[2].id"}
    assert results[3]["error"]["param"] == "contacts[3].attributes", "it would outgrow what a contact may have"
    identifiers = {"identifiers": [{"type": "id", "value": KNOWN}, {"type": "id", "value": gone}]}
    assert reads.asked == [["/internal/contacts/found", identifiers]]
    assert log.events[0]["identifiers"] == [{"type": "external_id", "value": "known"}]


async def test_a_batch_that_names_no_ids_asks_the_database_nothing(tmp_path: Path) -> None:
    reads = RecordedReads({})
    answer = await post(memory_edge(tmp_path, MemoryLog()), [{"external_id": "u1"}, {"email": "a@b.c"}], reads)
    assert (answer.status_code, reads.asked) == (202, [])


async def test_a_batch_with_a_key_is_taken_once(tmp_path: Path) -> None:
    log = MemoryLog()
    edge = memory_edge(tmp_path, log)
    items = [{"external_id": "u1"}, {"external_id": "u2"}]
    first = await post(edge, items, headers={"Idempotency-Key": "import-1"})
    again = await post(edge, items, headers={"Idempotency-Key": "import-1"})
    assert (first.json(), first.status_code) == (again.json(), again.status_code)
    assert len(log.events) == 2
    assert (await post(edge, items[:1], headers={"Idempotency-Key": "import-1"})).status_code == 409


async def test_a_broken_item_costs_only_itself(tmp_path: Path) -> None:
    log = MemoryLog()
    body = b'{"contacts":[{"external_id":"u1","attributes":{"n":NaN}},{"external_id":"u2"}]}'
    answer = await post(memory_edge(tmp_path, log), body)
    assert answer.status_code == 202, answer.text
    assert [event["identifiers"][0]["value"] for event in log.events] == ["u2"]
    assert answer.json()["results"][0]["error"]["param"].startswith("contacts[0]")


async def test_a_public_key_writes_no_contacts(tmp_path: Path) -> None:
    log = MemoryLog()
    answer = await post(memory_edge(tmp_path, log), [{"external_id": "u1"}], headers=PUBLIC)
    assert (answer.status_code, log.events) == (403, [])


async def test_items_without_a_time_are_of_the_time_of_receipt(tmp_path: Path) -> None:
    log = MemoryLog()
    await post(memory_edge(tmp_path, log), [{"external_id": "u1"}, {"external_id": "u2", "timestamp": 1_700_000_000}])
    assert [event["timestamp_ms"] for event in log.events] == [NOW_MS, 1_700_000_000_000]


async def test_an_id_of_its_own_is_the_id_of_the_write(tmp_path: Path) -> None:
    log = MemoryLog()
    items = [{"external_id": "u1", "event_id": "row-1"}, {"external_id": "u2", "event_id": "a\nb"}]
    answer = await post(memory_edge(tmp_path, log), {"contacts": items})
    assert answer.json()["results"][1]["error"]["param"] == "contacts[1].event_id"
    assert [event["event_id"] for event in log.events] == ["row-1"]
