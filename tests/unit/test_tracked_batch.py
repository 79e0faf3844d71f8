"""`POST /v1/events/batch?task=true`: the answer names a task that counts what is new of the batch."""

from pathlib import Path
from uuid import UUID

import pytest

from schemas.ids import count_of
from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge

PATH = "/v1/events/batch"
EVENTS = [{"type": "seen", "user_id": "u", "event_id": f"e{n}"} for n in range(3)]


async def test_a_task_is_named_where_it_is_asked_for(tmp_path: Path) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        plain = await client.post(PATH, json=EVENTS[:1], headers=SECRET)
        assert "task_id" not in plain.json()
        answer = await client.post(f"{PATH}?task=true", json=[*EVENTS, {"type": "seen"}], headers=SECRET)
        assert answer.status_code == 202
        task = answer.json()["task_id"]
        assert (answer.json()["accepted"], answer.json()["rejected"]) == (3, 1)
        # the first was answered from memory: it is no part of what the task waits for
        assert count_of(UUID(task)) == 2
        again = await client.post(f"{PATH}?task=1", json=EVENTS, headers=SECRET)
        assert (again.json()["accepted"], count_of(UUID(again.json()["task_id"]))) == (3, 0)
    assert [(event["event_id"], event["task_id"]) for event in log.events] == [("e0", ""), ("e1", task), ("e2", task)]


@pytest.mark.parametrize("path", [f"{PATH}?task=maybe", "/v1/events?task=true", "/v1/contacts/batch?task=true"])
async def test_what_is_no_yes_or_no_or_no_batch_of_events_is_refused(tmp_path: Path, path: str) -> None:
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        answer = await client.post(path, json=EVENTS, headers=SECRET)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "task")


async def test_a_vendor_s_parameter_of_that_name_is_its_own(tmp_path: Path) -> None:
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        body = {"batch": [{"type": "track", "event": "e", "userId": "u"}]}
        answer = await client.post("/v1/batch?task=maybe", json=body, headers=SECRET)
    assert answer.status_code == 200
