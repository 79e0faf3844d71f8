"""What providers' posts mean: which message and which recipient an event is about, and which consent it ends."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest.receivers import define, ses
from schemas.control.control_state import Receiver, encode
from schemas.errors import ApiError
from schemas.records.records import Event
from tests.golden.test_receiver_payloads import SECRETS
from tests.support import signed_callbacks
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE
from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge

WHOLE = "kF3mX9TqQ2a"


async def _posted(home: Path, provider: str, payload: Any, **more: Any) -> list[Event]:
    log = MemoryLog()
    edge = memory_edge(home, log)
    here = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS}
    receiver = Receiver(id="rcv_1", provider=provider, secret=SECRETS[provider](), **here, **more)
    edge.control.apply(*encode("receiver", receiver))
    target = f"/v1/receivers/{provider}/rcv_1"
    if provider == "twilio":
        query, headers, body = signed_callbacks.twilio(payload, f"https://edge{target}", "")
    else:
        query, headers, body = getattr(signed_callbacks, provider)(payload)
    async with client_of(edge) as client:
        answer = await client.post(f"{target}?{query}" if query else target, headers=headers, content=body)
    assert answer.status_code == 200, answer.text
    return log.events


@pytest.mark.parametrize(
    ("whole", "cut"),
    [
        (f"{WHOLE}.recvd-7c9f-1-65A0-3.0", WHOLE),
        (f"{WHOLE}.filter0001.11.ABC-0", WHOLE),
        (f"{WHOLE}.filter0361p1las1-11880-5978131E-23.0", WHOLE),
        (WHOLE, WHOLE),
        (f"{WHOLE}.recvd-7c9f-1-65A0-3.1", f"{WHOLE}:r@example.com"),
        (f"{WHOLE}.filter0001.16648.5515E0B88.12", f"{WHOLE}:r@example.com"),
    ],
)
async def test_sendgrids_message_is_the_one_that_the_sender_was_given(whole: str, cut: str, tmp_path: Path) -> None:
    events = [{"event": "delivered", "email": "r@example.com", "timestamp": 1_790_000_000, "sg_message_id": whole}]
    (event,) = await _posted(tmp_path, "sendgrid", events)
    assert event["message_id"] == cut


async def test_sendgrids_smtp_id_stands_in_without_its_brackets(tmp_path: Path) -> None:
    (event,) = await _posted(tmp_path, "sendgrid", [{"event": "open", "email": "a@b.c", "smtp-id": "<x@y.z>"}])
    assert event["message_id"] == "x@y.z"


@pytest.mark.parametrize("place", [{"message_id": "<m@x>"}, {"properties": {"message_id": "<m@x>"}}], ids=str)
async def test_one_pair_of_angle_brackets_is_stripped(place: dict[str, Any], tmp_path: Path) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        body = {"type": "message.sent", "email": "r@example.com", "campaign_id": "C", **place}
        assert (await client.post("/v1/events", json=body, headers=SECRET)).status_code == 202
    assert log.events[0]["message_id"] == "m@x"


async def test_mailguns_message_id_may_have_its_brackets(tmp_path: Path) -> None:
    body = {
        "event": "delivered",
        "recipient": "a@b.c",
        "timestamp": NOW_MS / 1000,
        "message": {"headers": {"message-id": "<m@x>"}},
    }
    (event,) = await _posted(tmp_path, "mailgun", body)
    assert event["message_id"] == "m@x"


def _ses(kind: str, part: dict[str, Any], *destination: str) -> list[tuple[str, list[Any], Any]]:
    body = {"eventType": kind, "mail": {"messageId": "m1", "destination": list(destination)}, kind.lower(): part}
    message = {"Type": ses.NOTIFICATION, "MessageId": "n1", "Message": orjson.dumps(body).decode()}
    return [(raw.type, [value for _, value, _ in raw.identifiers], raw.message_id) for raw in ses.events(message)]


@pytest.mark.parametrize(("kind", "meant"), [("Open", "message.opened"), ("Click", "message.clicked")])
def test_an_open_of_a_mail_to_several_is_nobodys(kind: str, meant: str) -> None:
    assert _ses(kind, {"userAgent": "x"}, "a@example.com", "b@example.com") == [(meant, [], "m1")]
    assert _ses(kind, {"userAgent": "x"}, "a@example.com") == [(meant, ["a@example.com"], "m1")]


def test_what_happens_to_all_recipients_is_each_ones() -> None:
    both = ["a@example.com", "b@example.com"]
    assert [who for _, who, _ in _ses("Send", {}, *both)] == [[address] for address in both]
    assert [who for _, who, _ in _ses("Reject", {"reason": "x"}, *both)] == [[address] for address in both]
    named = {"complainedRecipients": [{"emailAddress": "b@example.com"}]}
    assert _ses("Complaint", named, *both) == [("message.complained", ["b@example.com"], "m1:b@example.com")]


ENDS = [
    ("sendgrid", [{"event": "unsubscribe", "email": "a@b.c", "sg_event_id": "1"}], True),
    ("sendgrid", [{"event": "group_unsubscribe", "email": "a@b.c", "sg_event_id": "1"}], True),
    ("sendgrid", [{"event": "spamreport", "email": "a@b.c", "sg_event_id": "1"}], True),
    ("sendgrid", [{"event": "group_resubscribe", "email": "a@b.c", "sg_event_id": "1"}], False),
    ("sendgrid", [{"event": "delivered", "email": "a@b.c", "sg_event_id": "1"}], False),
    ("mailgun", {"event": "unsubscribed", "recipient": "a@b.c", "id": "1"}, True),
    ("mailgun", {"event": "complained", "recipient": "a@b.c", "id": "1"}, True),
    ("postmark", {"RecordType": "SpamComplaint", "Email": "a@b.c", "ID": 1}, True),
    (
        "postmark",
        {
            "RecordType": "SubscriptionChange",
            "Recipient": "a@b.c",
            "SuppressSending": True,
            "SuppressionReason": "ManualSuppression",
        },
        True,
    ),
    ("postmark", {"RecordType": "SubscriptionChange", "Recipient": "a@b.c", "SuppressSending": False}, False),
    ("twilio", {"MessageSid": "S1", "MessageStatus": "delivered", "To": "+447700900123"}, False),
]


@pytest.mark.parametrize(("provider", "payload", "ends"), ENDS, ids=str)
async def test_an_unsubscribe_or_complaint_ends_the_consent_that_the_receiver_names(
    provider: str, payload: Any, ends: bool, tmp_path: Path
) -> None:
    for number, (given, consent) in enumerate((({}, "email_marketing"), ({"consent": "newsletter"}, "newsletter"))):
        (event,) = await _posted(tmp_path / str(number), provider, payload, **given)
        profile = orjson.loads(event["profile"] or b"{}")
        assert profile == ({"consents": {consent: False}} if ends else {})


def test_the_consent_of_a_receiver_is_its_channels_unless_it_names_one() -> None:
    twilio = {"provider": "twilio", "signing_secret": "s"}
    assert define.new_receiver(twilio, "w", "e", 1).ended_consent == "sms_marketing"
    postmark = {"provider": "postmark", "signing_secret": "a:b"}
    assert define.new_receiver(postmark, "w", "e", 1).ended_consent == "email_marketing"
    assert define.new_receiver(postmark | {"consent": "news"}, "w", "e", 1).ended_consent == "news"


@pytest.mark.parametrize("consent", ["", " ", 1, ["a"], "x" * 257], ids=str)
def test_a_consent_that_is_no_name_is_refused(consent: Any) -> None:
    with pytest.raises(ApiError) as refused:
        define.new_receiver({"provider": "twilio", "signing_secret": "s", "consent": consent}, "w", "e", 1)
    assert refused.value.param == "consent"


async def test_a_post_of_more_than_a_thousand_is_taken(tmp_path: Path) -> None:
    events = [{"event": "delivered", "email": "a@b.c", "sg_event_id": str(n)} for n in range(1001)]
    assert len(await _posted(tmp_path, "sendgrid", events)) == 1001


@pytest.mark.parametrize(
    ("provider", "payload", "text"),
    [
        ("sendgrid", [{"event": "open", "email": "a@b.c", "timestamp": "soon"}], "soon"),
        ("mailgun", {"event": "opened", "recipient": "a@b.c", "timestamp": -1}, "-1"),
        (
            "postmark",
            {"RecordType": "Delivery", "Recipient": "a@b.c", "DeliveredAt": "0001-01-01T00:00:00Z"},
            "0001-01-01T00:00:00Z",
        ),
    ],
    ids=str,
)
async def test_an_unreadable_time_of_a_provider_is_the_arrivals(
    provider: str, payload: Any, text: str, tmp_path: Path
) -> None:
    (event,) = await _posted(tmp_path, provider, payload)
    assert event["timestamp_ms"] == event["received_ms"]
    assert orjson.loads(event["context"])["_timestamp"] == text
