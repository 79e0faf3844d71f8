"""Providers' payloads in the shapes of their documents: signed, posted, and the events that they must become."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.control.control_state import Receiver, encode
from tests.golden.test_transcripts import differs, shown
from tests.support import signed_callbacks
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE
from tests.support.edge import MemoryLog, client_of, memory_edge

FOLDER = Path(__file__).parent / "receivers"
FILES = sorted(path for path in FOLDER.glob("*/*.json") if path.parent.name != "ses")  # that needs a socket
SECRETS: dict[str, Callable[[], str]] = {
    "sendgrid": signed_callbacks.sendgrid_public,
    "mailgun": lambda: signed_callbacks.SECRET,
    "postmark": lambda: signed_callbacks.POSTMARK,
    "twilio": lambda: signed_callbacks.SECRET,
}


def endpoint(provider: str) -> Receiver:
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS}
    return Receiver(id="rcv_1", provider=provider, secret=SECRETS[provider](), **home)


def signed(provider: str, golden: dict[str, Any], url: str) -> signed_callbacks.Request:
    payload = golden["payload"]
    if provider != "twilio":
        sign: Callable[[Any], signed_callbacks.Request] = getattr(signed_callbacks, provider)
        return sign(payload)
    if golden.get("json"):
        return signed_callbacks.twilio_json(payload, url, golden["query"])
    return signed_callbacks.twilio(payload, url, golden["query"])


def check_events(expected: list[dict[str, Any]], log: MemoryLog) -> None:
    events = [shown(e) for e in log.events]
    assert len(events) == len(expected), events
    for event_expected in expected:
        matching = [e for e in events if differs({"...": True, **event_expected}, e) is None]
        assert matching, [differs({"...": True, **event_expected}, e) for e in events]
        events.remove(matching[0])


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
async def test_a_payload_becomes_events(path: Path, tmp_path: Path) -> None:
    golden, provider = orjson.loads(path.read_bytes()), path.parent.name
    log = MemoryLog()
    edge = memory_edge(tmp_path, log)
    edge.control.apply(*encode("receiver", endpoint(provider)))
    target = f"/v1/receivers/{provider}/rcv_1"
    query, headers, body = signed(provider, golden, f"https://edge{target}")
    async with client_of(edge) as client:
        answer = await client.post(f"{target}?{query}" if query else target, headers=headers, content=body)
        assert (answer.status_code, answer.json()) == (200, {"accepted": len(golden["events"])}), answer.text
        check_events(golden["events"], log)
        ids = [e["event_id"] for e in log.events]
        again = await client.post(f"{target}?{query}" if query else target, headers=headers, content=body)
        assert again.status_code == 200
    assert [e["event_id"] for e in log.events[len(ids) :]] == ids, "a repeat has the ids of the first"
    assert len(set(ids)) == len(ids)


def test_every_provider_has_payloads() -> None:
    assert {path.parent.name for path in FOLDER.glob("*/*.json")} == {*SECRETS, "ses"}
