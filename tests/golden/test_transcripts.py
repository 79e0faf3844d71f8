"""Recorded requests and the answers they must get, a file each: adding one is adding a file.

In an expected value ``<evt>``, ``<cnt>``, ``<uuid>``, ``<derived>``, ``<time>`` and ``<any>`` stand for any value of
that form; an object with ``"...": true`` may have more fields than it names. ``control`` is what was defined before,
``reads`` what the read API answers (a path may begin so), ``asked`` what it is asked.
"""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest.dialects import OPERATIONS
from schemas.control import control_state
from tests.support.edge import MemoryLog, RecordedReads, client_of, memory_edge

FOLDER = Path(__file__).parent
TRANSCRIPTS = sorted(p for p in FOLDER.glob("*/*.json") if p.parent.name != "avro")
FORMS = {
    "<evt>": re.compile(r"^evt_[0-9a-f]{32}$"),
    "<cnt>": re.compile(r"^cnt_[a-z2-7]{32}$"),
    "<uuid>": re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"),
    "<time>": re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"),
    "<derived>": re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    "<any>": re.compile(r".*", re.DOTALL),
}


def differs(expected: Any, actual: Any, path: str = "$") -> str | None:
    """Where the two part, or ``None``."""
    if isinstance(expected, str) and expected in FORMS:
        return None if FORMS[expected].match(str(actual)) else f"{path}: {actual!r} is no {expected}"
    if isinstance(expected, dict) and isinstance(actual, dict):
        rest = {k: v for k, v in expected.items() if k != "..."}
        if "..." not in expected and rest.keys() != actual.keys():
            return f"{path}: fields {sorted(actual)} instead of {sorted(rest)}"
        gone = rest.keys() - actual.keys()
        if gone:
            return f"{path}: {sorted(gone)} missing"
        return next((d for k in rest if (d := differs(rest[k], actual[k], f"{path}.{k}"))), None)
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return next((d for i, e in enumerate(expected) if (d := differs(e, actual[i], f"{path}[{i}]"))), None)
    return None if expected == actual else f"{path}: {actual!r} instead of {expected!r}"


def shown(event: Any) -> dict[str, Any]:
    """An event as a transcript writes it: JSON fields as JSON, identifiers as ``type:value``."""
    view = dict(event)
    for name in ("properties", "context", "profile"):
        view[name] = orjson.loads(view[name]) if view[name] else {}
    view["identifiers"] = [f"{i['type']}:{i['value']}" for i in view["identifiers"]]
    return view


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
async def test_a_recorded_request_gets_its_recorded_answer(path: Path, tmp_path: Path) -> None:
    transcript = orjson.loads(path.read_bytes())
    log = MemoryLog()
    edge = memory_edge(tmp_path, log)
    log.tell = edge.merge_map.apply
    for kind, record in transcript.get("control", {}).items():
        edge.control.apply(control_state.record_key(kind, "local", record["id"]), orjson.dumps(record))
    reads = RecordedReads(transcript.get("reads", {}))
    async with client_of(edge, reads) as client:
        for step in transcript["steps"]:
            before = len(log.events)
            request = step["request"]
            body = request["text"].encode() if "text" in request else orjson.dumps(request.get("json"))
            headers = {"content-type": "application/json", **request.get("headers", {})}
            headers = {k: v for k, v in headers.items() if v is not None}
            answer = await client.request(request.get("method", "POST"), request["path"], headers=headers, content=body)
            assert answer.status_code == step["status"], answer.text
            assert answer.headers["x-request-id"]
            for name, value in step.get("headers", {}).items():
                assert answer.headers.get(name) == value, name
            if "answer" in step:
                assert answer.text == step["answer"]
            if "json" in step:
                assert differs(step["json"], answer.json()) is None, differs(step["json"], answer.json())
            if "asked" in step:
                assert differs(step["asked"], reads.asked) is None, reads.asked
            reads.asked.clear()
            events = [shown(e) for e in log.events[before:]]
            assert len(events) == len(step.get("events", [])), events
            for expected in step.get("events", []):
                # partitions have no common order: each expected event is some event
                matching = [e for e in events if differs({**expected, "...": True}, e) is None]
                assert matching, (expected, events)
                events.remove(matching[0])


def test_every_dialect_has_transcripts() -> None:
    assert {path.parent.name for path in TRANSCRIPTS} >= {operation.source for operation in OPERATIONS}
