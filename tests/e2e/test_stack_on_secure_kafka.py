"""A whole stack on a broker that takes nothing but TLS and a password."""

from pathlib import Path

import pytest

from tests.support.secure_kafka import PASSWORD, secure_kafka
from tests.support.stack import local_stack

pytestmark = pytest.mark.e2e


async def test_every_process_is_let_in(tmp_path: Path) -> None:
    with (
        secure_kafka(tmp_path / "kafka") as broker,
        local_stack(tmp_path / "stack", **broker.options("SCRAM-SHA-512")) as stack,
    ):
        async with stack.client() as client:
            event = {"type": "order", "user_id": "u1", "properties": {"total": 5}}
            answer = await client.post("/v1/events?sync=true&timeout_ms=10000", json=event)
            assert answer.status_code == 200, answer.text
            contact = await client.get(f"/v1/contacts/{answer.json()['contact_id']}")
            assert contact.json()["external_id"] == "u1"
            assert (await client.get("/health/ready")).status_code == 200
        assert PASSWORD not in stack.log_tails(100_000)
