"""A contact id belongs to one workspace's environment; nothing that names another's is taken, wherever it enters."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from processors.identity.stage import IdentityStage
from processors.runtime.stage import InputRecord, PartitionState
from schemas import topics
from schemas.control.control_state import ControlState
from schemas.records import codec, identity, tenancy
from tests.support.builders import MemoryTables, cid, event, link
from tests.support.edge import NOW_MS, PUBLIC, SECRET, MemoryLog, RecordedReads, client_of, memory_edge

OURS = cid("external_id:u1")
FOREIGN = [cid("external_id:u1", "other"), cid("external_id:u1", environment="staging")]


@pytest.mark.parametrize("n", range(200))
def test_a_contact_id_is_the_base32_of_two_hashes(n: int) -> None:
    """Other languages can make one with what they have."""

    def hashed(text: str, length: int) -> str:
        return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:length]

    tenant, own = "local\0production", f"local\0production\0external_id\0u{n}"
    assert cid(f"external_id:u{n}", "local", "production") == f"cnt_{hashed(tenant, 13)}{hashed(own, 19)}"


def test_a_contact_id_tells_its_tenant() -> None:
    assert identity.is_contact_id(OURS)
    assert identity.belongs_to(OURS, "local", "production")
    assert not any(identity.belongs_to(foreign_id, "local", "production") for foreign_id in FOREIGN)
    assert len({OURS, *FOREIGN}) == 3
    assert not identity.is_contact_id("cnt_" + "a" * 24)  # the form of before


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/v1/events", PUBLIC, {"type": "x", "contact_id": "?"}),
        ("/v1/events", PUBLIC, {"type": "x", "email": "atk@b.com", "contact_id": "?"}),
        ("/v1/events?sync=true", SECRET, {"type": "x", "email": "atk@b.com", "contact_id": "?"}),
        ("/v1/events/batch", PUBLIC, {"events": [{"type": "x", "contact_id": "?"}]}),
        ("/v1/contacts", SECRET, {"id": "?", "attributes": {"a": 1}}),
        ("/v1/contacts", SECRET, {"id": "?", "email": "atk@b.com"}),
    ],
)
async def test_the_edge_refuses_a_foreign_contact_id(
    path: str, headers: dict[str, str], body: Any, foreign: str, tmp_path: Path
) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log), RecordedReads({})) as client:
        answer = await client.post(path, json=_filled(body, foreign), headers=headers)
    assert answer.status_code == 422, answer.text
    assert "is not a contact id of this environment" in answer.text
    assert log.records == []


def _filled(value: Any, contact_id: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(part, contact_id) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, contact_id) for part in value]
    return contact_id if value == "?" else value


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("name", ["{}", "id:{}"])
async def test_a_path_that_names_a_foreign_contact_is_not_found(name: str, foreign: str, tmp_path: Path) -> None:
    async with client_of(memory_edge(tmp_path, MemoryLog()), RecordedReads({})) as client:
        answer = await client.patch(f"/v1/contacts/{name.format(foreign)}", json={"attributes": {}}, headers=SECRET)
    assert answer.status_code == 404


@pytest.mark.parametrize("name", ["id", "ID", "Id ", " iD", "user_id ", "External-ID", "distinct_id", "device_id"])
async def test_an_import_by_a_reserved_field_is_refused(name: str, tmp_path: Path) -> None:
    log = MemoryLog()
    body = {"matching": "custom", "field_name": name, "field_value": FOREIGN[0], "data": {"plan": "written by B"}}
    reads = RecordedReads({"/internal/audience": [200, {"contacts": []}]})
    async with client_of(memory_edge(tmp_path, log), reads) as client:
        answer = await client.post("/api/v1.1/profiles/import", json=body, headers=SECRET)
    assert answer.json()["error"] == 450, answer.text
    assert "reserved name" in answer.text
    assert log.records == []


@pytest.mark.parametrize(
    "datum",
    [
        event("external_id:u1", workspace="other"),
        event("email:a@b.c", identifiers=[{"type": "id", "value": FOREIGN[0]}]),
        link("email:a@b.c", f"id:{FOREIGN[1]}"),
        {"workspace": "local", "environment": "production", "loser": OURS, "winner": FOREIGN[0]},
        {"workspace": "local", "environment": "production", "contact_id": OURS, "merged_into": FOREIGN[0]},
        {"workspace": "local", "environment": "staging", "winner": FOREIGN[1], "events": [event("external_id:u1")]},
    ],
)
def test_records_that_cross_tenants_are_told(datum: Any) -> None:
    assert tenancy.is_foreign(datum)


def test_identity_quarantines_what_crosses_tenants_and_goes_on() -> None:
    stage, tables = IdentityStage(ControlState(), 4), MemoryTables()
    good, bad = event("email:a@b.c", event_id="good"), event("email:a@b.c", event_id="bad", contact_id=FOREIGN[0])
    record = InputRecord(topics.EVENTS.name, 0, 5, None, codec.encode_events([bad, good]), NOW_MS)
    sends = list(stage.process([record], PartitionState(0, tables), NOW_MS))
    kept = [e for s in sends if s.topic == topics.RESOLVED.name for e in codec.decode_events(s.value)]
    out = [codec.decode_quarantined(s.value) for s in sends if s.topic == topics.QUARANTINE.name]
    assert [(e["event_id"], e["origin_index"]) for e in kept] == [("good", 1)]
    assert [(q["event_id"], q["reason"], q["index"], q["offset"]) for q in out] == [("bad", "foreign_contact", 0, 5)]
    links = codec.encode_links([link("email:a@b.c", f"id:{FOREIGN[0]}"), link("email:a@b.c", "external_id:u1")])
    sends = list(
        stage.process([InputRecord(topics.LINKS.name, 0, 6, None, links, NOW_MS)], PartitionState(0, tables), NOW_MS)
    )
    merges = [codec.decode_merge(s.value) for s in sends if s.topic == topics.MERGES.name]
    assert {m["winner"] for m in merges} == {OURS}
    assert [s.topic for s in sends].count(topics.QUARANTINE.name) == 1
