"""The bytes of a PostHog client's request in, the JSON value in them out: plain, packed, or base64 in a form; pure.

Beacons of older browser SDKs are base64 of CESU-8: an emoji is two halves of three bytes each. `ingest/http/mend.py`
puts them together.
"""

from base64 import b64decode
from typing import Any
from urllib.parse import parse_qs

from ingest.http import body
from schemas.errors import ApiError

BATCH = "batch"
FORM = b"application/x-www-form-urlencoded"


def read(content_type: bytes, data: bytes, most: int) -> Any:
    """JSON: plain, gzipped without a ``Content-Encoding`` header, or base64 in the field ``data`` of a form."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    if kind == FORM or data[:5] == b"data=":
        try:
            fields = parse_qs(data.decode("latin-1"), max_num_fields=20)
        except ValueError as error:
            raise ApiError("invalid_field", f"not a form: {error}", "data") from None
        if not fields.get("data"):
            raise ApiError("missing_field", "data is needed", "data")
        data = fields["data"][-1].encode("latin-1")
    elif kind != b"application/octet-stream":
        body.check_content_type(content_type)
    if not data.strip():
        return {}
    data = _unpacked(data, most)
    if data[:1] not in (b"{", b"[") and (decoded := _decoded(data)):
        data = _unpacked(decoded, most)
    return body.parse_batch(data, BATCH)


def _unpacked(data: bytes, most: int) -> bytes:
    return body.decode(data, b"gzip", most) if data[:2] == b"\x1f\x8b" else data


def _decoded(data: bytes) -> bytes | None:
    try:
        # a form turns + into a space
        return b64decode(data.strip().replace(b" ", b"+"), validate=True)
    except ValueError:
        return None
