"""Requests as a vendor's clients send them, a line each: what a visit of a page and servers' batches come to.

A line has the body as JSON and how it is packed: ``json``, ``gzip`` (without a header that says so), or ``form``:
base64 in the field ``data``. ``events`` is what must come of it, in order; the edge's clock stands still.
"""

import gzip
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from tests.support.edge import MemoryLog, client_of, memory_edge

FOLDER = Path(__file__).parent / "captures"
CAPTURES = [orjson.loads(line) for path in sorted(FOLDER.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
KEYS = ("token", "api_key")


def packed(capture: dict[str, Any]) -> bytes:
    plain = orjson.dumps(capture["body"])
    if capture["packing"] == "gzip":
        return gzip.compress(plain, mtime=0)
    if capture["packing"] == "form":
        return b"data=" + quote(b64encode(plain)).encode()
    return plain


def sent(body: Any) -> list[dict[str, Any]]:
    if isinstance(body, list):
        return body
    batch: list[dict[str, Any]] = body.get("batch", [body])
    return batch


def test_the_captures_are_a_whole_visit() -> None:
    assert sum(len(capture["events"]) for capture in CAPTURES) >= 88
    assert {capture["packing"] for capture in CAPTURES} == {"json", "gzip", "form"}


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture["name"])
async def test_a_captured_request_comes_to_its_events(capture: dict[str, Any], tmp_path: Path) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        headers = {"content-type": capture["content_type"]}
        answer = await client.post(capture["path"], headers=headers, content=packed(capture))
    assert (answer.status_code, answer.json()) == (200, {"status": "Ok"}), answer.text
    stored = [
        {
            "type": event["type"],
            "id": event["event_id"],
            "who": sorted(
                f"{identifier['type']}:{identifier['value']}"
                for identifier in event["identifiers"]
                if identifier["type"] != "email"
            ),
            "at": event["timestamp_ms"],
        }
        for event in log.events
    ]
    assert stored == capture["events"]
    for event, value in zip(log.events, sent(capture["body"]), strict=True):
        expected = {name: value_of for name, value_of in value["properties"].items() if name not in KEYS}
        assert orjson.loads(event["properties"]) == expected
        assert b"pk_dev_local" not in orjson.dumps({**event, "key_id": ""}, default=str)
