"""An upsert is answered by its receipt: the database is asked where only it can know."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest

from ingest.events.edge import Edge
from schemas.control.control_state import Workspace, encode
from schemas.record_batches import Headers
from schemas.records import codec, identity
from schemas.records.records import Event, Merge, Receipt
from schemas.records.sameness import event_key
from tests.support.edge import NOW_MS, SECRET, MemoryLog, RecordedReads, client_of, memory_edge

HERE = ("local", "production")
USER, EMAIL = ("external_id", "u1"), ("email", "a@b.c")


class ToldReads(RecordedReads):
    """Answers the edge's questions about contacts, and notes them."""

    def __init__(self, **answers: Any) -> None:
        super().__init__({})
        self.answers = answers
        self.questions: list[str] = []

    async def post(self, request: Any, path: str, value: Any, environment: str, within_s: float = 0.0) -> Any:
        self.questions.append(path.rpartition("/")[2])
        return self.answers[self.questions[-1]]


class Stages:
    """In the place of everything behind the edge: receipts for what is published, and perhaps a merge before them."""

    def __init__(self, tmp_path: Path, *, identifiers: tuple[tuple[str, str], ...], attributes: Any = None) -> None:
        self.log = MemoryLog()
        self.edge: Edge = memory_edge(tmp_path, self.log)
        self.identifiers = identifiers
        self.attributes = attributes or {"plan": "pro"}
        self.created_ms = NOW_MS
        self._client: httpx.AsyncClient | None = None
        self._publish = self.log.publish
        self.log.publish = self.publish  # type: ignore[method-assign]
        self.edge.accumulator._publish = self.publish

    async def publish(self, partition: int, record: bytes, headers: Headers) -> None:
        await self._publish(partition, record, headers)
        for event in codec.decode_events(record):
            for stage in ("stored", "applied"):
                value = codec.encode_receipts([self.receipt(event, stage)])
                self.edge.receipts.apply(SimpleNamespace(key=b"edge_test", value=value))

    def receipt(self, event: Event, stage: str) -> Receipt:
        body = {
            "id": event["contact_id"],
            **dict.fromkeys(("email", "phone", "external_id")),
            **{kind: value for kind, value in self.identifiers if kind in ("email", "external_id")},
            "anonymous_ids": [],
            "identifiers": [{"type": kind, "value": value} for kind, value in self.identifiers],
            "attributes": self.attributes,
            "consents": {"email_marketing": True},
            "devices": [],
            "created_ms": self.created_ms,
            "updated_ms": NOW_MS,
            "segments": ["seg_gone"],
        }
        contact = orjson.dumps(body) if stage == "applied" else b""
        key, task = event_key(event), event["task_id"]
        return Receipt(event_id=key, task_id=task, stage=stage, entered=[], left=[], contact=contact)

    def merge(self, loser: tuple[str, str], winner: tuple[str, str]) -> None:
        merge = Merge(
            workspace=HERE[0],
            environment=HERE[1],
            loser=identity.contact_id(*HERE, *loser),
            winner=identity.contact_id(*HERE, *winner),
            version=1,
            at_ms=NOW_MS,
            event_id="evt_1",
            identifier={"type": loser[0], "value": loser[1]},
        )
        self.edge.merge_map.apply(SimpleNamespace(partition=0, offset=1, value=codec.encode_merge(merge)))

    async def upsert(self, reads: RecordedReads, **body: Any) -> httpx.Response:
        if self._client is None:
            self._client = client_of(self.edge, reads)
        return await self._client.post("/v1/contacts", json=body, headers=SECRET)


@pytest.mark.parametrize(("created_ms", "status"), [(NOW_MS, 201), (NOW_MS - 1, 200)])
async def test_an_upsert_by_one_identifier_asks_the_database_nothing(
    tmp_path: Path, created_ms: int, status: int
) -> None:
    stages, reads = Stages(tmp_path, identifiers=(USER,)), ToldReads()
    stages.created_ms = created_ms
    answer = await stages.upsert(reads, external_id="u1", attributes={"plan": "pro"})
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert reads.questions == []
    assert (body["external_id"], body["email"], body["attributes"]) == ("u1", None, {"plan": "pro"})
    assert body["id"] == identity.contact_id(*HERE, *USER)
    assert body["segments"] == [], "one that exists no more is not shown"
    assert body["consents"] == {"email_marketing": True}
    assert set(body) == set("id email phone external_id anonymous_ids attributes consents devices segments".split()) | {
        "created_at",
        "updated_at",
    }


async def test_identifiers_that_are_not_shown_yet_are_asked_for(tmp_path: Path) -> None:
    document = {"id": "cnt_x", "attributes": {}, "created_at": "x"}
    stages = Stages(tmp_path, identifiers=(USER,))
    reads = ToldReads(written={"contact": document, "warnings": ["email was not added"]})
    answer = await stages.upsert(reads, external_id="u1", email="a@b.c")
    assert (reads.questions, answer.status_code) == (["written"], 200)
    assert answer.json() == {**document, "warnings": ["email was not added"]}


async def test_what_the_workspace_ties_nothing_by_is_not_waited_for(tmp_path: Path) -> None:
    stages, reads = Stages(tmp_path, identifiers=(USER,)), ToldReads()
    shared = Workspace(id=HERE[0], workspace=HERE[0], created_ms=1, name="Local", link_phones=False)
    stages.edge.control.apply(*encode("workspace", shared))
    answer = await stages.upsert(reads, external_id="u1", phone="+447700900123")
    assert (answer.status_code, reads.questions) == (201, []), answer.text
    (warning,) = answer.json()["warnings"]
    assert warning.startswith("link_refused: phone was not added")


async def test_a_contact_that_was_merged_a_moment_ago_is_asked_for(tmp_path: Path) -> None:
    stages = Stages(tmp_path, identifiers=(USER, EMAIL))
    stages.merge(EMAIL, USER)
    reads = ToldReads(written={"contact": {"id": "cnt_x", "attributes": {}, "created_at": "x"}, "warnings": []})
    await stages.upsert(reads, email="a@b.c")
    assert reads.questions == ["written"], "the tables may not know the merge yet"


async def test_a_contact_named_by_id_is_looked_up_before_the_write(tmp_path: Path) -> None:
    stages, reads = Stages(tmp_path, identifiers=(USER,)), ToldReads(found={"contacts": [None]})
    answer = await stages.upsert(reads, id=identity.contact_id(*HERE, "external_id", "gone"))
    assert (answer.status_code, reads.questions, stages.log.events) == (404, ["found"], [])


async def test_a_contact_without_room_is_checked_before_the_write(tmp_path: Path) -> None:
    full = {f"a{n}": n for n in range(1000)}
    stages = Stages(tmp_path, identifiers=(USER,), attributes=full)
    owner = {"id": identity.contact_id(*HERE, *USER), "identifiers": [], "attributes": full}
    reads = ToldReads(found={"contacts": [owner]})
    assert (await stages.upsert(reads, external_id="u1", attributes={"a0": 1})).status_code == 201
    assert reads.questions == []
    over = await stages.upsert(reads, external_id="u1", attributes={"b": 1})
    assert (over.status_code, over.json()["error"]["param"]) == (422, "attributes")
    assert reads.questions == ["found"]
    many = await stages.upsert(reads, external_id="u2", attributes={f"b{n}": n for n in range(101)})
    assert (many.status_code, reads.questions) == (422, ["found", "found"]), "so much may be too much for anybody"
