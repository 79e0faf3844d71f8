"""A signature that does not cover the body vouches for the first body that came with it, and for no other."""

from pathlib import Path

import orjson
import pytest

from ingest.receivers.provider_request import REPLAY_WINDOW_MS
from ingest.receivers.replay import FIRST_WINDOW_MS, ReplayGuard, SignedToken
from schemas.control.control_state import Receiver, encode
from schemas.errors import ApiError
from tests.support import signed_callbacks
from tests.support.builders import NOW_MS, WORKSPACE
from tests.support.edge import MemoryLog, client_of, memory_edge

REPORT = {"event": "delivered", "id": "1", "recipient": "a@b.io", "timestamp": NOW_MS / 1000}
FORGED = {**REPORT, "event": "complained", "recipient": "victim@b.io"}


def takes(
    guard: ReplayGuard, token: str, at_ms: int, *, body: bytes = b"a", now_ms: int = NOW_MS, of: str = "w"
) -> bool:
    try:
        guard.check(of, SignedToken(token.encode(), at_ms), body, now_ms)
    except ApiError as refused:
        assert refused.status == 401
        return False
    return True


def endpoint(receiver_id: str, environment: str) -> Receiver:
    home = {"workspace": WORKSPACE, "environment": environment, "created_ms": NOW_MS}
    return Receiver(id=receiver_id, provider="mailgun", secret=signed_callbacks.SECRET, **home)


def reports(*receivers: str) -> list[str]:
    return [f"/v1/receivers/mailgun/{receiver}" for receiver in receivers]


async def test_another_body_under_a_signature_that_was_used_is_refused(tmp_path: Path) -> None:
    log = MemoryLog()
    edge = memory_edge(tmp_path, log)
    edge.control.apply(*encode("receiver", endpoint("rcv_1", "production")))
    edge.control.apply(*encode("receiver", endpoint("rcv_2", "development")))
    this, other = reports("rcv_1", "rcv_2")
    _, headers, body = signed_callbacks.mailgun(REPORT)
    forged = orjson.dumps({**orjson.loads(body), "event-data": FORGED})
    signed = orjson.loads(body)["signature"]
    # where the time ends and the token begins is not signed, so moving the border makes no new token
    moved = {**signed, "timestamp": signed["timestamp"] + ".", "token": signed["token"]}
    async with client_of(edge) as client:
        first = await client.post(this, headers=headers, content=body)
        again = await client.post(this, headers=headers, content=body)
        refused = await client.post(this, headers=headers, content=forged)
        elsewhere = await client.post(other, headers=headers, content=forged)
        shifted = await client.post(
            this, headers=headers, content=orjson.dumps({"signature": moved, "event-data": FORGED})
        )
    assert (first.status_code, again.status_code) == (200, 200)
    for answer in (refused, elsewhere):
        assert (answer.status_code, answer.json()["error"]["param"]) == (401, "signature.token"), answer.text
    assert shifted.status_code == 401
    assert {e["type"] for e in log.events} == {"message.delivered"}


async def test_an_unknown_token_is_taken_for_a_quarter_of_an_hour(tmp_path: Path) -> None:
    log = MemoryLog()
    edge = memory_edge(tmp_path, log)
    edge.control.apply(*encode("receiver", endpoint("rcv_1", "production")))
    (url,) = reports("rcv_1")
    async with client_of(edge) as client:
        answers = []
        for age_ms in (FIRST_WINDOW_MS - 2000, FIRST_WINDOW_MS + 2000):
            _, headers, body = signed_callbacks.mailgun(REPORT, NOW_MS - age_ms)
            answers.append((await client.post(url, headers=headers, content=body)).status_code)
    assert answers == [200, 401]


def test_a_repeat_is_taken_for_a_day() -> None:
    guard = ReplayGuard()
    assert takes(guard, "t", NOW_MS)
    later = NOW_MS + REPLAY_WINDOW_MS - 1
    assert takes(guard, "t", NOW_MS, now_ms=later)
    assert not takes(guard, "t", NOW_MS, body=b"b", now_ms=later)


def test_a_full_memory_refuses_what_it_may_have_forgotten() -> None:
    guard = ReplayGuard(capacity=10)
    for n in range(30):
        assert takes(guard, f"t{n}", NOW_MS + n * 1000)
    for n in range(30):
        assert not takes(guard, f"t{n}", NOW_MS + n * 1000, body=b"forged"), "forgotten or not, it was used"
    assert takes(guard, "t29", NOW_MS + 29_000), "a repeat"
    assert takes(guard, "new", NOW_MS + 30_000)


def test_a_workspace_that_fills_its_memory_takes_none_from_another() -> None:
    guard = ReplayGuard(capacity=10)
    assert takes(guard, "t", NOW_MS, of="quiet")
    for n in range(100):
        takes(guard, f"t{n}", NOW_MS + n, of="loud")
    assert takes(guard, "t", NOW_MS, of="quiet")
    assert not takes(guard, "t", NOW_MS, of="quiet", body=b"forged")
    assert takes(guard, "another", NOW_MS, of="quiet")


@pytest.mark.parametrize("age_ms", [0, FIRST_WINDOW_MS])
def test_a_token_of_one_workspace_is_new_in_another(age_ms: int) -> None:
    guard = ReplayGuard()
    assert takes(guard, "t", NOW_MS - age_ms, of="a")
    assert takes(guard, "t", NOW_MS - age_ms, of="b", body=b"b")
