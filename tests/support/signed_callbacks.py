"""A provider's payload in; the payload signed as the provider would, for `ingest/receivers`, out."""

import hashlib
import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509.oid import NameOID

from tests.support.edge import NOW_MS

SECRET = "a-signing-secret"
POSTMARK = "hook:pass-word"
Request = tuple[str, dict[str, str], bytes]
"""(query, headers, body)"""
JSON = {"content-type": "application/json"}


@cache
def sendgrid_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def sendgrid_public() -> str:
    der = (
        sendgrid_key()
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return b64encode(der).decode()


def sendgrid(payload: Any, at_ms: int = NOW_MS) -> Request:
    body, timestamp = orjson.dumps(payload), str(at_ms // 1000)
    signature = sendgrid_key().sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    return (
        "",
        {
            **JSON,
            "X-Twilio-Email-Event-Webhook-Signature": b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        },
        body,
    )


def mailgun(payload: Any, at_ms: int = NOW_MS) -> Request:
    # its own token for each report, as Mailgun's
    timestamp, token = str(at_ms // 1000), hashlib.sha256(orjson.dumps([payload, at_ms])).hexdigest()[:50]
    digest = hmac.new(SECRET.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()
    signature = {"timestamp": timestamp, "token": token, "signature": digest}
    return "", dict(JSON), orjson.dumps({"signature": signature, "event-data": payload})


def postmark(payload: Any, user: str = POSTMARK) -> Request:
    return "", {**JSON, "Authorization": f"Basic {b64encode(user.encode()).decode()}"}, orjson.dumps(payload)


def twilio(payload: dict[str, str], url: str, query: str = "") -> Request:
    text = url + (f"?{query}" if query else "") + "".join(k + payload[k] for k in sorted(payload))
    signature = b64encode(hmac.digest(SECRET.encode(), text.encode(), hashlib.sha1)).decode()
    headers = {"content-type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    return query, headers, urlencode(payload).encode()


def twilio_json(payload: Any, url: str, query: str = "") -> Request:
    body = orjson.dumps(payload)
    query = "&".join(filter(None, [query, f"bodySHA256={hashlib.sha256(body).hexdigest()}"]))
    signature = b64encode(hmac.digest(SECRET.encode(), f"{url}?{query}".encode(), hashlib.sha1)).decode()
    return query, {**JSON, "X-Twilio-Signature": signature}, body


@cache
def sns_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def sns_certificate(*, from_days: int = -1, until_days: int = 30) -> bytes:
    """Returns a certificate that is valid around the edge's clock."""
    now = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(sns_key().public_key())
    builder = builder.serial_number(1).not_valid_before(now + timedelta(days=from_days))
    built = builder.not_valid_after(now + timedelta(days=until_days)).sign(sns_key(), SHA256())
    return built.public_bytes(serialization.Encoding.PEM)


HOST = "https://sns.eu-west-1.amazonaws.com"


def sns(payload: Any, *, version: str = "2", kind: str = "Notification", **more: str) -> Request:
    message = {
        "Type": kind,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:mail",
        "Message": payload if isinstance(payload, str) else orjson.dumps(payload).decode(),
        "Timestamp": "2026-09-21T14:13:20.000Z",
        "SignatureVersion": version,
        "SigningCertURL": f"{HOST}/SimpleNotificationService-1.pem",
        **more,
    }
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if kind != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    digest = SHA1() if version == "1" else SHA256()
    message["Signature"] = b64encode(sns_key().sign(text.encode(), padding.PKCS1v15(), digest)).decode()
    return "", {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": kind}, orjson.dumps(message)
