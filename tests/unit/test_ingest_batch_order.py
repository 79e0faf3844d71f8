"""What a batch says of one contact twice: the later item is the later event, since ids tell equal times apart."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge

CALLS: dict[str, Any] = {
    "/v1/events/batch": lambda n: {"type": "e", "user_id": "u", "properties": {"n": n}},
    "/v1/contacts/batch": lambda n: {"external_id": "u", "attributes": {"n": n}},
    "/v1/batch": lambda n: {"type": "identify", "userId": "u", "traits": {"n": n}},
    "/batch/": lambda n: {"event": "e", "distinct_id": "u", "properties": {"n": n}},
    "/api/client/events": lambda n: {"name": "e", "external_id": "u", "data": {"n": n}},
}
LABELS = {"/v1/batch": "batch", "/batch/": "batch", "/v1/contacts/batch": "contacts"}


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k"}], ids=["no key", "a key"])
@pytest.mark.parametrize("path", CALLS)
async def test_ids_follow_the_order_of_the_batch(tmp_path: Path, path: str, key: dict[str, str]) -> None:
    log = MemoryLog()
    items = [CALLS[path](n) for n in range(300)]
    async with client_of(memory_edge(tmp_path, log)) as client:
        body = {LABELS[path]: items} if path in LABELS else items
        answer = await client.post(path, json=body, headers=SECRET | key)
    assert answer.is_success, answer.text
    by_id = {event["event_id"]: event["properties"] for event in log.events}
    assert [by_id[event_id] for event_id in sorted(by_id)] == [b'{"n":%d}' % n for n in range(300)]
