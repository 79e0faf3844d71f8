"""What is not the provider's is refused and stores nothing; what is unreadable is never an error of ours."""

from pathlib import Path
from typing import Any

import pytest

from ingest.receivers import define, mailgun, sendgrid, twilio
from ingest.receivers.provider_request import REPLAY_WINDOW_MS, ProviderRequest
from schemas.control.control_state import Receiver, encode
from schemas.errors import ApiError
from tests.support import signed_callbacks
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE
from tests.support.edge import MemoryLog, client_of, memory_edge

OLD_MS = NOW_MS - REPLAY_WINDOW_MS - 1000
URL = "https://edge/v1/receivers/twilio/rcv_twilio"
EVENT = [{"event": "delivered", "email": "a@b.c", "sg_event_id": "1", "timestamp": NOW_MS // 1000}]
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
STATUS = {"MessageSid": "SM1", "MessageStatus": "sent", "To": "+12025550123"}


def endpoint(provider: str, secret: str) -> Receiver:
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS}
    return Receiver(id=f"rcv_{provider}", provider=provider, secret=secret, **home)


ENDPOINTS = (
    endpoint("sendgrid", signed_callbacks.sendgrid_public()),
    endpoint("mailgun", signed_callbacks.SECRET),
    endpoint("postmark", signed_callbacks.POSTMARK),
    endpoint("twilio", signed_callbacks.SECRET),
    endpoint("ses", ""),
)


def changed(request: signed_callbacks.Request, header: str = "", value: str = "", body: bytes | None = None) -> Any:
    query, headers, content = request
    return query, {**headers, **({header: value} if header else {})}, content if body is None else body


SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
REFUSED: dict[str, tuple[str, Any, int]] = {
    "sendgrid, another body": ("sendgrid", changed(signed_callbacks.sendgrid(EVENT), body=b"[]"), 401),
    "sendgrid, no signature": ("sendgrid", ("", signed_callbacks.JSON, b"[]"), 401),
    "sendgrid, odd signature": ("sendgrid", changed(signed_callbacks.sendgrid(EVENT), SIGNATURE, "é!"), 401),
    "sendgrid, old": ("sendgrid", signed_callbacks.sendgrid(EVENT, OLD_MS), 401),
    "sendgrid, ahead": ("sendgrid", signed_callbacks.sendgrid(EVENT, NOW_MS + 3_600_000), 401),
    "sendgrid, no objects": ("sendgrid", signed_callbacks.sendgrid([1, "x"]), 422),
    "mailgun, another secret": (
        "mailgun",
        ("", signed_callbacks.JSON, b'{"signature":{"token":"t","timestamp":"1"}}'),
        401,
    ),
    "mailgun, old": ("mailgun", signed_callbacks.mailgun({"event": "opened"}, OLD_MS), 401),
    "mailgun, no object": ("mailgun", ("", signed_callbacks.JSON, b"[]"), 400),
    "mailgun, no JSON": ("mailgun", ("", signed_callbacks.JSON, b"\xff{"), 400),
    "mailgun, no event": ("mailgun", signed_callbacks.mailgun(None), 422),
    "postmark, nobody": ("postmark", ("", signed_callbacks.JSON, b"{}"), 401),
    "postmark, another password": ("postmark", signed_callbacks.postmark({}, "hook:wrong"), 401),
    "postmark, no password": ("postmark", signed_callbacks.postmark({}, "hook:"), 401),
    "postmark, not base64": ("postmark", ("", {"Authorization": "Basic é"}, b"{}"), 401),
    "postmark, no JSON": ("postmark", changed(signed_callbacks.postmark({}), body=b"{"), 400),
    "twilio, another body": ("twilio", changed(signed_callbacks.twilio(STATUS, URL), body=b"MessageStatus=read"), 401),
    "twilio, another query": ("twilio", ("campaign_id=x", *signed_callbacks.twilio(STATUS, URL)[1:]), 401),
    "twilio, not text": ("twilio", changed(signed_callbacks.twilio(STATUS, URL), body=b"\xff=\xff"), 400),
    "twilio, JSON of another body": ("twilio", changed(signed_callbacks.twilio_json([], URL), body=b"[{}]"), 401),
    "ses, no message": ("ses", ("", signed_callbacks.JSON, b"{}"), 401),
    "ses, no object": ("ses", ("", signed_callbacks.JSON, b"1"), 400),
    "no such endpoint": ("nowhere", ("", signed_callbacks.JSON, b"{}"), 404),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_stores_nothing(name: str, tmp_path: Path) -> None:
    provider, (query, headers, body), status = REFUSED[name]
    log = MemoryLog()
    edge = memory_edge(tmp_path, log)
    for definition in ENDPOINTS:
        edge.control.apply(*encode("receiver", definition))
    raw = [(k.encode(), v.encode()) for k, v in headers.items()]
    async with client_of(edge) as client:
        answer = await client.post(f"/v1/receivers/{provider}/rcv_{provider}?{query}", headers=raw, content=body)
        other = await client.post(f"/v1/receivers/mailgun/rcv_{provider}x", headers=raw, content=body)
    assert (answer.status_code, other.status_code) == (status, 404), answer.text
    assert signed_callbacks.SECRET not in answer.text
    assert log.records == []


async def test_a_secret_key_cannot_stand_in_for_a_signature(tmp_path: Path) -> None:
    log = MemoryLog()
    edge = memory_edge(tmp_path, log)
    edge.control.apply(*encode("receiver", ENDPOINTS[1]))
    async with client_of(edge) as client:
        headers = {"Authorization": "Bearer sk_dev_local"}
        answer = await client.post("/v1/receivers/mailgun/rcv_mailgun", headers=headers, json={"event-data": {}})
    assert (answer.status_code, log.records) == (401, [])


def posted(secret: str, url: str, headers: dict[str, str], body: bytes, now_ms: int) -> ProviderRequest:
    receiver = endpoint("any", secret)
    return ProviderRequest(receiver=receiver, urls=(url,), query={}, headers=headers, body=body, now_ms=now_ms)


def test_sendgrids_own_example_verifies() -> None:
    """The vector of SendGrid's libraries."""
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu"
        "/1FwCM/QmGUhA=="
    )
    headers = {
        sendgrid.SIGNATURE: (
            "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0="
        ),
        sendgrid.TIMESTAMP: "1588788367",
    }
    body = b'{"category":"example_payload","event":"test_event","message_id":"message_id"}'
    sendgrid.verify(posted(key, "", headers, body, 1_588_788_367_000))
    with pytest.raises(ApiError, match="signature"):
        sendgrid.verify(posted(key, "", headers, body + b" ", 1_588_788_367_000))


def test_twilios_own_example_verifies() -> None:
    """The vector of Twilio's libraries."""
    body = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    headers = {twilio.SIGNATURE: "RSOYDt4T1cUTdK1PDd93/VVr8B8="}
    twilio.verify(posted("12345", url, headers, body, NOW_MS))
    with pytest.raises(ApiError, match="signature"):
        twilio.verify(posted("12346", url, headers, body, NOW_MS))


def test_a_subaccounts_event_verifies_with_the_main_accounts_key() -> None:
    _, _, body = signed_callbacks.mailgun({"event": "opened"})
    nested = body.replace(b'"signature":"', b'"signature":"00","parent-signature":"')
    mailgun.verify(posted(signed_callbacks.SECRET, "", {}, nested, NOW_MS))
    with pytest.raises(ApiError, match="signature"):
        mailgun.verify(posted("another", "", {}, nested, NOW_MS))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "provider"),
        ({"provider": "acme", "signing_secret": "s"}, "provider"),
        ({"provider": ["ses"]}, "provider"),
        ({"provider": "mailgun"}, "signing_secret"),
        ({"provider": "mailgun", "signing_secret": " "}, "signing_secret"),
        ({"provider": "mailgun", "public_key": "k", "signing_secret": "s"}, "public_key"),
        ({"provider": "sendgrid", "signing_secret": "s"}, "signing_secret"),
        ({"provider": "sendgrid", "public_key": "no key"}, "public_key"),
        ({"provider": "sendgrid"}, "public_key"),
        ({"provider": "twilio", "signing_secret": "s", "topic_arn": "arn"}, "topic_arn"),
        ({"provider": "ses", "secret": "s"}, "secret"),
        ({"provider": "ses"}, "topic_arn"),
        ({"provider": "ses", "signing_secret": "hook:word"}, "topic_arn"),
        ({"provider": "ses", "topic_arn": "arn:aws:sqs:eu-west-1:123456789012:mail"}, "topic_arn"),
        ({"provider": "ses", "topic_arn": f"{TOPIC}\n{TOPIC}"}, "topic_arn"),
    ],
)
def test_a_wrong_definition_names_its_field(body: Any, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        define.new_receiver(body, WORKSPACE, ENVIRONMENT, NOW_MS)
    assert (refused.value.status, refused.value.param) == (422, param)


def test_a_definition_shows_no_secret() -> None:
    made = define.new_receiver({"provider": "mailgun", "signing_secret": "very-secret"}, WORKSPACE, ENVIRONMENT, NOW_MS)
    assert made.secret == "very-secret"
    assert "very-secret" not in repr(made)
    assert define.new_receiver({"provider": "ses", "topic_arn": TOPIC}, WORKSPACE, ENVIRONMENT, NOW_MS).secret == ""
