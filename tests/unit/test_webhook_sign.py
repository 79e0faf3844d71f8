"""Signatures as receivers check them: with the reference documentation's Node.js function, and with a library."""

import json
import shutil
import subprocess
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from sinks.delivery import sign

BODY = '{"id":"evt_1","type":"order_completed","data":{"name":"Zoë, 日本"}}'.encode()
DECODED = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "secretsecret")
"""Secrets that a library takes for base64."""
SECRETS = (*DECODED, "topsecret", "a-secret-of-mine!")
NODE = """
const crypto = require("crypto");
function verifyWebhook(
  payload,   // raw request body as string
  signature, // value of Altacee-Signature header
  secret     // your webhook secret
) {
  const expected = crypto
    .createHmac("sha256", secret)
    .update(payload)
    .digest("hex");
  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(expected)
  );
}
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(c => verifyWebhook(c[0], c[1], c[2]))));
"""
OLD_KEY = "whsec_b2xkIG9sZCBvbGQgb2xk"


def headers(*secrets: str, body: bytes = BODY) -> dict[str, str]:
    now_ms = time.time_ns() // 1_000_000
    return sign.headers(event_id="evt_1", attempt_id="dlv_1_1_0", at_ms=now_ms, body=body, secrets=secrets)


def test_the_reference_function_verifies_them() -> None:
    """In the language that it was published in."""
    node = shutil.which("node")
    assert node, "Node.js is needed to run the published function"
    good = [[BODY.decode(), headers(secret)["Altacee-Signature"], secret] for secret in SECRETS]
    bad = [[BODY.decode() + " ", *good[0][1:]], [good[0][0], good[1][1], SECRETS[0]]]
    ran = subprocess.run(
        [node, "-e", NODE], input=json.dumps(good + bad), capture_output=True, text=True, check=True, timeout=30
    )
    assert json.loads(ran.stdout) == [True] * len(good) + [False] * len(bad)


@pytest.mark.parametrize("secret", DECODED)
def test_the_standard_library_verifies_them(secret: str) -> None:
    assert Webhook(secret).verify(BODY, headers(secret)) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY + b" ", headers(secret))
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD_KEY).verify(BODY, headers(secret))


@pytest.mark.parametrize("secret", SECRETS[1:])
def test_a_secret_may_be_given_as_bytes(secret: str) -> None:
    assert Webhook(secret.encode()).verify(BODY, headers(secret))


def test_while_a_secret_is_rotated_both_verify() -> None:
    signed = headers(SECRETS[0], OLD_KEY)
    for secret in (SECRETS[0], OLD_KEY):
        assert Webhook(secret).verify(BODY, signed)
    assert signed["Altacee-Signature"] == sign.altacee(SECRETS[0], BODY)
    assert signed["Altacee-Signature-Previous"] == sign.altacee(OLD_KEY, BODY)
    assert "Altacee-Signature-Previous" not in headers(SECRETS[0])


def test_headers_name_attempt_event_and_time() -> None:
    signed = headers(SECRETS[0])
    assert signed["Altacee-Delivery-Id"] == "dlv_1_1_0"
    assert signed["Altacee-Event-Id"] == signed["webhook-id"] == "evt_1"
    assert signed["Altacee-Timestamp"] == signed["webhook-timestamp"]
    assert abs(int(signed["Altacee-Timestamp"]) - time.time()) < 60


@pytest.mark.parametrize("event_id", ["evt_ok-1.2:3", "a b%", "zwölf", "x\r\nHost: evil", "日本", "\x00"])
def test_an_event_id_of_any_text_may_stand_in_a_header(event_id: str) -> None:
    now_ms = time.time_ns() // 1_000_000
    signed = sign.headers(event_id=event_id, attempt_id="dlv_1_1_0", at_ms=now_ms, body=BODY, secrets=SECRETS[:1])
    assert signed["webhook-id"].isascii()
    assert signed["webhook-id"].isprintable()
    assert Webhook(SECRETS[0]).verify(BODY, signed)
