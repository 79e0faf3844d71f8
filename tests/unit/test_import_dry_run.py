"""A dry run says of each row what the edge would say: it is asked of the same code."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.cli.imports.batches import RowBatch
from deploy.cli.imports.dry_run import DryRun
from deploy.cli.imports.mapping import CONTACTS, EVENTS
from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge

ROWS: dict[str, list[Any]] = {
    CONTACTS: [
        {"external_id": "u1", "attributes": {"plan": "pro"}},
        {"attributes": {}},
        {"external_id": "null"},
        {"email": "not-an-email", "external_id": "u2"},
        {"email": "not-an-email"},
        {"external_id": "u3", "consents": {"email_marketing": "perhaps"}},
        {"external_id": "u4", "timestamp": "soon"},
        {"external_id": "u5", "attributes": {f"a{n}": n for n in range(1001)}},
        {"external_id": "u6", "event_id": "\n"},
        {"external_id": "u7", "attributes": {"long": "x" * 300_000}},
        {"external_id": "u8", "plan": "pro"},
    ],
    EVENTS: [
        {"type": "seen", "user_id": "u1"},
        {"type": "seen"},
        {"user_id": "u1"},
        {"type": "", "user_id": "u1"},
        {"type": "seen", "user_id": "u1", "external_id": "u2"},
        {"type": "seen", "user_id": "u1", "timestamp": "2026-99-01"},
        {"type": "seen", "user_id": "u1", "properties": 5},
        {"type": "seen", "user_id": "u1", "properties": {"long": "x" * 300_000}},
        {"type": "seen", "user_id": "u1", "colour": "red"},
        {"type": "seen", "user_id": "u1", "timestamp": 1},
    ],
}


@pytest.mark.parametrize("kind", [CONTACTS, EVENTS])
async def test_it_refuses_what_the_edge_refuses(tmp_path: Path, kind: str) -> None:
    rows = ROWS[kind]
    batch = RowBatch([orjson.dumps(row) for row in rows], list(range(len(rows))))
    check = DryRun(kind)
    refused = {row.line: row.reason for row in check.refused(batch)}
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        answer = await client.post(
            f"/v1/{kind}/batch", content=batch.body(kind), headers={**SECRET, "Content-Type": "application/json"}
        )
    results = answer.json()["results"]
    assert set(refused) == {result["index"] for result in results if "error" in result}
    assert 0 not in refused
    assert check.warnings == sum("warnings" in result for result in results)
