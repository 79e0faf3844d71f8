"""A batch with a refused item: its values are freed with the answer, without the cycle collector."""

import gc
from pathlib import Path

import pytest

from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge

MARK = "gone with the answer"
KEPT = b'{"%s": [[]]}' % MARK.encode()
BODIES = {
    "/v1/events/batch": b'{"events": [{"type": "e", "user_id": "u", "properties": %s}, {"type": ""}, 17]}' % KEPT,
    "/v1/contacts/batch": b'{"contacts": [{"external_id": "u", "attributes": %s}, {"external_id": 1.5}, 17]}' % KEPT,
    "/v1/batch": b'{"batch": [{"type": "identify", "userId": "u", "traits": %s}, {"type": "track"}]}' % KEPT,
}


@pytest.mark.parametrize("path", BODIES)
async def test_no_value_of_a_request_is_held_by_its_refused_items(tmp_path: Path, path: str) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        gc.collect()
        gc.disable()
        try:
            headers = SECRET | {"Content-Type": "application/json"}
            answer = await client.post(path, content=BODIES[path], headers=headers)
            held = [tracked for tracked in gc.get_objects() if type(tracked) is dict and MARK in tracked]
        finally:
            gc.enable()
    assert b"error" in answer.content or not answer.is_success
    assert not held
