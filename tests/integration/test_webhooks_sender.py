"""The sender of webhooks as a process, on a real broker, with endpoints that behave as badly as they like."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from standardwebhooks.webhooks import Webhook as Verifier

from sinks.delivery import sign
from tests.support.builders import NOW_MS, cid, event
from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import change, process
from tests.support.waiting import eventually
from tests.support.webhook_receiver import Answer, Got, WebhookReceiver, receiver
from tests.support.webhook_sender import Upstream, upstream, webhook

pytestmark = pytest.mark.kafka


@pytest_asyncio.fixture(scope="module")
async def sender(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Upstream]:
    settings = fresh_settings(tmp_path_factory.mktemp("webhooks"), kafka=kafka)
    settings = settings.model_copy(update={"webhook_allow_private": True})
    async with upstream(settings) as up, process(settings, "webhooks"):
        yield up


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[WebhookReceiver]:
    async with receiver() as opened:
        yield opened


async def arrived(endpoint: WebhookReceiver, count: int, within_s: float = 15) -> list[Got]:
    async def enough() -> bool:
        return len(endpoint.got) >= count

    await eventually(enough, f"{count} requests, there are {len(endpoint.got)}", within_s)
    return endpoint.got


async def attempts(sender: Upstream, of: Any, count: int) -> Any:
    async def logged() -> Any:
        attempts = await sender.attempts(of)
        return attempts if len(attempts) >= count else None

    return await eventually(logged, f"{count} attempts in the log")


async def test_an_event_is_told_once_and_verifies(sender: Upstream, endpoint: WebhookReceiver) -> None:
    hook = await sender.define(webhook(endpoint.url(), "bought"))
    other = event("external_id:u1", event_id="evt_other", type="looked")
    bought = event("external_id:u1", event_id="evt_b", type="bought", properties={"name": "Zoë"})
    await sender.events(other, bought)
    await sender.events(bought, event("external_id:u1", event_id="evt_c", type="bought"))
    got = await arrived(endpoint, 2)
    assert [g.json["id"] for g in got] == ["evt_b", "evt_c"]
    assert Verifier(hook.secret).verify(got[0].body, got[0].headers) == got[0].json
    assert got[0].headers["altacee-signature"] == sign.altacee(hook.secret, got[0].body)
    assert got[0].headers["altacee-event-id"] == "evt_b"
    (first, second) = await attempts(sender, hook, 2)
    assert [first["id"], second["id"]] == [g.attempt_id for g in got]
    assert (first["status"], first["response_code"], first["response_body"]) == ("succeeded", 200, b"ok")
    assert first["request_body"] == got[0].body
    assert b"whsec" not in first["request_headers"]


async def test_changes_are_told_when_something_changed(sender: Upstream, endpoint: WebhookReceiver) -> None:
    await sender.define(webhook(endpoint.url(), "contact.*", "segment.entered", "segment.left", "end"))
    contact = cid("external_id:changes")
    # a contact's changes stand in one partition; the event comes another way, so it is sent when they have come
    at = {"segment_id": "seg_1", "segment_version": 1, "at_ms": NOW_MS, "event_id": "evt_x"}
    profile = b'{"external_id":"u","consents":{"email":%s},"created_ms":%d}'
    await sender.changes(
        change(contact, "profile", 1, profile=profile % (b"true", NOW_MS)),
        change(contact, "membership", 2, member=True, reason="event", **at),
        change(contact, "membership", 3, member=True, reason="restated", **at),
        change(contact, "profile", 4, profile=profile % (b"true", NOW_MS)),
        change(contact, "membership", 5, member=False, reason="time", **{**at, "at_ms": NOW_MS + 1}),
        change(contact, "profile", 6, profile=profile % (b"false", NOW_MS)),
        change(contact, "profile", 7, merged_into=cid("external_id:winner")),
    )
    got = await arrived(endpoint, 6)
    await sender.events(event("external_id:changes", type="end", event_id="evt_end"))
    got = await arrived(endpoint, 7)
    assert [g.json["type"] for g in got] == [
        *("contact.created", "segment.entered", "segment.left", "contact.updated", "contact.unsubscribed"),
        *("contact.merged", "end"),
    ]
    assert got[1].json["data"]["event_id"] == "evt_x"


async def test_a_failure_is_attempted_again_and_at_once_if_asked(sender: Upstream, endpoint: WebhookReceiver) -> None:
    async def fail(_got: Got) -> Answer:
        return 500, b"broken " * 1000

    endpoint.decide = fail
    hook = await sender.define(webhook(endpoint.url()))
    await sender.events(event("external_id:u1", event_id="evt_f"))
    (first,) = await attempts(sender, hook, 1)
    assert (first["status"], first["response_code"], first["error"]) == ("pending", 500, "status 500")
    assert 4000 <= first["next_ms"] - first["at_ms"] - first["duration_ms"] <= 6500
    assert len(first["response_body"]) <= 2048
    await sender.ask(first)
    got = await arrived(endpoint, 2, within_s=3)
    assert len({g.attempt_id for g in got}) == 2
    assert {g.headers["altacee-event-id"] for g in got} == {"evt_f"}
    _, second = await attempts(sender, hook, 2)
    assert (second["attempt"], second["status"]) == (2, "pending")
    assert 24_000 <= second["next_ms"] - second["at_ms"] <= 37_000

    async def ok(_got: Got) -> Answer:
        return 200, b""

    endpoint.decide = ok
    await sender.ask(second)
    third = (await attempts(sender, hook, 3))[-1]
    assert (third["attempt"], third["status"], third["next_ms"]) == (3, "succeeded", 0)
    await sender.ask(third)
    await arrived(endpoint, 4)


async def test_what_is_asked_for_during_an_attempt_follows_it(sender: Upstream, endpoint: WebhookReceiver) -> None:
    async def slow(_got: Got) -> Answer:
        await asyncio.sleep(0.5 if len(endpoint.got) == 2 else 0)
        return 500, b""

    endpoint.decide = slow
    hook = await sender.define(webhook(endpoint.url()))
    await sender.events(event("external_id:u1", event_id="evt_asked"))
    (first,) = await attempts(sender, hook, 1)
    await sender.ask(first)
    await arrived(endpoint, 2)
    await sender.ask(first)
    await arrived(endpoint, 3, within_s=3)
    assert [a["attempt"] for a in await attempts(sender, hook, 3)] == [1, 2, 3]


async def test_what_waits_for_an_endpoint_goes_with_it(sender: Upstream, endpoint: WebhookReceiver) -> None:
    """Or waits on, where the endpoint is only disabled."""

    async def fail(_got: Got) -> Answer:
        return 500, b""

    endpoint.decide = fail
    only, two = [await sender.define(webhook(endpoint.url(f"/{n}"))) for n in range(2)]
    await sender.events(event("external_id:u1", event_id="evt_waits"))
    (first,) = await attempts(sender, only, 1)
    (other,) = await attempts(sender, two, 1)
    await sender.define(only.model_copy(update={"deleted": True}))
    await sender.define(two.model_copy(update={"status": "disabled"}))

    async def forgotten() -> bool:
        return not await sender.deliveries(only)

    await eventually(forgotten, "a deleted endpoint's deliveries are forgotten")
    await sender.ask(first)
    await sender.ask(other)
    assert [d["status"] for d in (await sender.deliveries(two)).values()] == ["pending"]
    async with receiver() as witness:
        await sender.define(webhook(witness.url()))
        await sender.events(event("external_id:u1", event_id="evt_witness"))
        await arrived(witness, 1)
    assert len(endpoint.got) == 2
    await sender.define(two)
    await arrived(endpoint, 3)
    assert endpoint.got[2].path == "/1"


async def test_410_disables_the_endpoint(sender: Upstream, endpoint: WebhookReceiver) -> None:
    async def gone(_got: Got) -> Answer:
        return 410, b""

    endpoint.decide = gone
    hook = await sender.define(webhook(endpoint.url()))
    await sender.events(event("external_id:u1", event_id="evt_g1"))
    (first,) = await attempts(sender, hook, 1)
    assert (first["status"], first["next_ms"]) == ("failed", 0)

    async def disabled() -> bool:
        return await sender.status(hook) == "disabled"

    await eventually(disabled, "the endpoint is disabled")
    async with receiver() as witness:
        await sender.define(webhook(witness.url()))
        await sender.events(event("external_id:u1", event_id="evt_g2"))
        await arrived(witness, 1)
    assert len(endpoint.got) == 1


async def test_slow_and_dead_endpoints_delay_nobody(sender: Upstream, endpoint: WebhookReceiver) -> None:
    """One never answers, one is not there, one redirects, one sends nonsense; a hundred messages to each."""
    answers: dict[str, Answer] = {
        "/moved": (0, b"HTTP/1.1 302 x\r\nlocation: /fine\r\ncontent-length: 0\r\n\r\n"),
        "/nonsense": (0, b"\x00\x01\x02 nonsense\r\n\r\n"),
        "/drips": (0, b"HTTP/1.1 200 x\r\ncontent-length: 1000000\r\n\r\nx"),
    }

    async def decide(got: Got) -> Answer:
        if got.path == "/hangs":
            await asyncio.sleep(30)
        return answers.get(got.path, (200, b""))

    endpoint.decide = decide
    names = ("hangs", "moved", "nonsense", "drips", "fine")
    made = {name: await sender.define(webhook(endpoint.url(f"/{name}"), "load")) for name in names}
    dead = await sender.define(webhook("http://127.0.0.1:9/", "load"))
    began = time.monotonic()
    await sender.events(*(event(f"external_id:l{n}", event_id=f"evt_l{n}", type="load") for n in range(100)))

    async def fine() -> bool:
        return len(endpoint.of("/fine")) >= 100

    await eventually(fine, "the one that is well has all", within_s=8)
    assert time.monotonic() - began < 8, "before the one that hangs has used up one attempt"
    assert {g.headers["altacee-event-id"] for g in endpoint.of("/fine")} == {f"evt_l{n}" for n in range(100)}

    async def judged() -> bool:
        logs = {name: await sender.attempts(of) for name, of in {**made, "dead": dead}.items()}
        return all(logs.values()) and len(logs["hangs"]) >= 50

    await eventually(judged, "an attempt of each", within_s=20)
    results = {name: (await sender.attempts(of))[0] for name, of in {**made, "dead": dead}.items()}
    assert results["moved"]["response_code"] == 302
    assert results["drips"]["status"] == "succeeded", "the status is the answer"
    assert results["hangs"]["error"] == "no answer within 10 s"
    assert 9_500 <= results["hangs"]["duration_ms"] <= 13_000
    assert "cannot connect" in results["dead"]["error"]
    assert {results[name]["status"] for name in ("moved", "nonsense", "hangs")} == {"pending"}
    assert len(await sender.attempts(dead)) < 70, "the breaker has opened"


async def test_one_contacts_messages_come_in_order_one_at_a_time(sender: Upstream, endpoint: WebhookReceiver) -> None:
    under_way: dict[str, int] = {}

    async def slow(got: Got) -> Answer:
        contact = got.json["data"]["contact_id"]
        under_way[contact] = under_way.get(contact, 0) + 1
        assert under_way[contact] == 1
        await asyncio.sleep(0.005)
        under_way[contact] -= 1
        return 200, b""

    endpoint.decide = slow
    await sender.define(webhook(endpoint.url(), "ordered"))
    people = [f"external_id:o{n}" for n in range(5)]
    await sender.events(
        *(event(people[n % 5], event_id=f"evt_o{n:03}", type="ordered", properties={"n": n}) for n in range(200))
    )
    got = await arrived(endpoint, 200)
    for person in people:
        mine = [g.json["data"]["properties"]["n"] for g in got if g.json["data"]["contact_id"] == cid(person)]
        assert mine == sorted(mine)
        assert len(mine) == 40


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433"])
async def test_private_addresses_are_not_reached(strict: Upstream, endpoint: WebhookReceiver, host: str) -> None:
    """However they are written, and though the definition was let through."""
    hook = await strict.define(webhook(f"http://{host}:{endpoint.port}/"))
    await strict.events(event("external_id:u1", event_id=f"evt_{host}"))
    logged = await attempts(strict, hook, 1)
    first = logged[0]
    assert len(logged) == 1, logged
    reason = "InvalidUrl" if host in ("127.1", "2130706433") else "the address is private: refused"
    assert first["response_code"] == 0
    assert first["error"].startswith(reason)
    assert endpoint.got == []
    await strict.define(hook.model_copy(update={"deleted": True}))


@pytest_asyncio.fixture(scope="module")
async def strict(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Upstream]:
    """A sender with the settings as they are by default."""
    settings = fresh_settings(tmp_path_factory.mktemp("strict"), kafka=kafka)
    async with upstream(settings) as up, process(settings, "webhooks"):
        yield up


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "http://localhost:8123/", "http://127.1/", "http://2130706433/", "http://0x7f.1/"),
        *("http://[::1]/", "http://[::ffff:10.0.0.1]/", "http://[fd00::1]/", "http://169.254.169.254/latest/meta-data"),
    ],
)
async def test_the_edge_refuses_a_private_target(tmp_path: Path, url: str) -> None:
    async with client_of(memory_edge(tmp_path, MemoryLog())) as http:
        answer = await http.post("/v1/webhooks", json={"url": url, "types": ["*"]}, headers=SECRET)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "url")
    assert "private" in answer.json()["error"]["message"]
