"""Amazon SES over SNS: certificates fetched from a server that stands where Amazon's would, subscriptions confirmed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from schemas.control.control_state import Receiver, encode
from tests.golden.test_receiver_payloads import FOLDER, check_events
from tests.support import signed_callbacks
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE
from tests.support.edge import MemoryLog, client_of, memory_edge

pytestmark = pytest.mark.kafka  # it may use sockets
FILES = sorted((FOLDER / "ses").glob("*.json"))
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
EVENT = {"eventType": "Send", "send": {}, "mail": {"messageId": "m", "destination": ["a@b.c"]}}
CONFIRM = {"Token": "tok", "SubscribeURL": f"{signed_callbacks.HOST}/?Action=ConfirmSubscription&Token=tok%2Ben"}


class Amazon:
    """Answers as SNS does and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.certificate = signed_callbacks.sns_certificate()
        self.status = 200
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(str(request.raw_path))
        return web.Response(status=self.status, body=self.certificate)


@pytest_asyncio.fixture
async def amazon() -> AsyncIterator[Amazon]:
    amazon = Amazon()
    app = web.Application()
    app.router.add_get("/{path:.*}", amazon.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    amazon.url = f"http://{host}:{port}"
    try:
        yield amazon
    finally:
        await runner.cleanup()


async def post(
    home: Path, amazon: Amazon, request: signed_callbacks.Request, *, secret: str = "", topic: str = TOPIC
) -> tuple[Any, MemoryLog]:
    log = MemoryLog()
    edge = memory_edge(home, log, sns_url=amazon.url)  # type: ignore[arg-type]
    place = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS}
    receiver = Receiver(id="rcv_1", provider="ses", secret=secret, topic_arn=topic, **place)
    edge.control.apply(*encode("receiver", receiver))
    _, headers, body = request
    async with client_of(edge) as client:
        answer = await client.post("/v1/receivers/ses/rcv_1", headers=headers, content=body)
        if answer.is_success:
            again = await client.post("/v1/receivers/ses/rcv_1", headers=headers, content=body)
            assert again.json() == answer.json()
            half = len(log.events) // 2
            assert [e["event_id"] for e in log.events[:half]] == [e["event_id"] for e in log.events[half:]]
            log.records = log.records[: len(log.records) // 2]
    return answer, log


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
async def test_a_notification_becomes_events(path: Path, tmp_path: Path, amazon: Amazon) -> None:
    golden = orjson.loads(path.read_bytes())
    version = "1" if len(path.stem) % 2 else "2"
    answer, log = await post(tmp_path, amazon, signed_callbacks.sns(golden["payload"], version=version), topic=TOPIC)
    assert answer.status_code == 200, answer.text
    check_events(golden["events"], log)
    assert amazon.asked == ["/SimpleNotificationService-1.pem"], "the certificate is asked for once"


async def test_a_subscription_is_confirmed(tmp_path: Path, amazon: Amazon) -> None:
    request = signed_callbacks.sns("You have chosen", kind="SubscriptionConfirmation", **CONFIRM)
    answer, log = await post(tmp_path, amazon, request)
    assert (answer.status_code, answer.json(), log.records) == (200, {"accepted": 0}, [])
    assert amazon.asked[1] == "/?Action=ConfirmSubscription&Token=tok%2Ben"


PEM = "/SimpleNotificationService-a.pem"
EVIL = "https://sns.eu-west-1.amazonaws.com.evil.example"
REFUSED: dict[str, tuple[signed_callbacks.Request, dict[str, str]]] = {
    "another topic": (signed_callbacks.sns(EVENT), {"topic": "arn:aws:sns:eu-west-1:1:other"}),
    "no topic and no password, of an older definition": (signed_callbacks.sns(EVENT), {"topic": ""}),
    "no password": (signed_callbacks.sns(EVENT), {"secret": "hook:word"}),
    "an altered subject": (signed_callbacks.sns(EVENT, Subject="a"), {}),
    "version 3": (signed_callbacks.sns(EVENT, version="3"), {}),
    "a certificate elsewhere": (signed_callbacks.sns(EVENT, SigningCertURL=f"{EVIL}{PEM}"), {}),
    "a certificate by http": (signed_callbacks.sns(EVENT, SigningCertURL=f"http{signed_callbacks.HOST[5:]}{PEM}"), {}),
    "a certificate at a port": (signed_callbacks.sns(EVENT, SigningCertURL=f"{signed_callbacks.HOST}:8443{PEM}"), {}),
    "a certificate with a user": (
        signed_callbacks.sns(EVENT, SigningCertURL=f"https://x@sns.us-east-1.amazonaws.com{PEM}"),
        {},
    ),
    "a certificate of another kind": (
        signed_callbacks.sns(EVENT, SigningCertURL=f"{signed_callbacks.HOST}/topics/a.pem"),
        {},
    ),
    "a certificate with a query": (
        signed_callbacks.sns(EVENT, SigningCertURL=f"{signed_callbacks.HOST}{PEM}?b=.pem"),
        {},
    ),
    "a bucket's certificate": (
        signed_callbacks.sns(EVENT, SigningCertURL=f"https://s3.us-east-1.amazonaws.com{PEM}"),
        {},
    ),
    "what is no certificate": (signed_callbacks.sns(EVENT, SigningCertURL=f"{signed_callbacks.HOST}/?Action=x"), {}),
    "confirming elsewhere": (
        signed_callbacks.sns("x", kind="SubscriptionConfirmation", Token="t", SubscribeURL=f"{EVIL}/?a"),
        {},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_not_amazons_stores_and_calls_nothing(name: str, tmp_path: Path, amazon: Amazon) -> None:
    request, more = REFUSED[name]
    if name == "an altered subject":
        request = (*request[:2], request[2].replace(b'"Subject":"a"', b'"Subject":"b"'))
    answer, log = await post(tmp_path, amazon, request, **more)
    assert (answer.status_code, log.records) == (401, []), answer.text
    assert all(path.endswith(".pem") for path in amazon.asked)


@pytest.mark.parametrize("days", [(-20, -10), (10, 20)])
async def test_a_certificate_that_is_not_valid_now_proves_nothing(
    days: tuple[int, int], tmp_path: Path, amazon: Amazon
) -> None:
    amazon.certificate = signed_callbacks.sns_certificate(from_days=days[0], until_days=days[1])
    answer, log = await post(tmp_path, amazon, signed_callbacks.sns(EVENT))
    assert (answer.status_code, log.records) == (401, [])


async def test_while_amazon_is_away_the_message_is_to_be_sent_again(tmp_path: Path, amazon: Amazon) -> None:
    amazon.status = 500
    answer, log = await post(tmp_path, amazon, signed_callbacks.sns(EVENT))
    assert (answer.status_code, log.records) == (503, [])


async def test_an_endpoint_with_a_password_takes_it(tmp_path: Path, amazon: Amazon) -> None:
    _, headers, body = signed_callbacks.sns(EVENT)
    _, auth, _ = signed_callbacks.postmark({}, "hook:word")
    request = ("", {**headers, "Authorization": auth["Authorization"]}, body)
    answer, log = await post(tmp_path, amazon, request, secret="hook:word")
    assert (answer.status_code, len(log.events)) == (200, 1)
