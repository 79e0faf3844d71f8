"""A body and an endpoint's secrets in; the headers by which a receiver knows that it is ours out; pure.

Two styles at once: Altacee's (hex HMAC-SHA256 of the raw body, keyed by the secret's text) and Standard Webhooks
(https://www.standardwebhooks.com: base64 HMAC-SHA256 of id, time and body, keyed by the secret's bytes). While a
secret is being rotated Altacee's header is made with the new one and a second header with the old one; the
Standard Webhooks header holds a signature by each.
"""

import binascii
import hmac
import string
from base64 import b64decode, b64encode
from collections.abc import Sequence
from urllib.parse import quote

from schemas.limits import SECRET_PREFIX

AGENT = "Headwater-Webhooks/1"


def altacee(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, "sha256").hexdigest()


def standard_keys(secret: str) -> list[bytes]:
    """The bytes that libraries take the secret for: they decode it, or are handed its bytes."""
    text = secret.removeprefix(SECRET_PREFIX)
    keys = [] if text != secret else [secret.encode()]
    try:
        decoded = b64decode(text + "==")
    except binascii.Error:
        decoded = b""
    return [*([decoded] if decoded else []), *keys] or [secret.encode()]


def standard(secret: str, message_id: str, at_s: int, body: bytes) -> list[str]:
    signed = f"{message_id}.{at_s}.".encode() + body
    return [f"v1,{b64encode(hmac.digest(key, signed, 'sha256')).decode()}" for key in standard_keys(secret)]


def headers(*, event_id: str, attempt_id: str, at_ms: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """All headers of a request; ``secrets`` are the valid ones, the newest first."""
    at_s = at_ms // 1000
    # clients choose event ids, and not every text may stand in a header
    event_id = quote(event_id, safe=string.punctuation + " ")
    signed = {
        "Content-Type": "application/json",
        "User-Agent": AGENT,
        "Altacee-Signature": altacee(secrets[0], body),
        "Altacee-Delivery-Id": attempt_id,
        "Altacee-Event-Id": event_id,
        "Altacee-Timestamp": str(at_s),
        "webhook-id": event_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(s for secret in secrets for s in standard(secret, event_id, at_s, body)),
    }
    if len(secrets) > 1:
        signed["Altacee-Signature-Previous"] = altacee(secrets[1], body)
    return signed
