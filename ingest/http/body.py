"""Request bytes in, a JSON value out: sizes, encodings and content types are checked, bombs are not unpacked."""

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import brotli
import orjson
import zstandard
from starlette.requests import ClientDisconnect

from ingest.http import json_recovery
from ingest.http.json_recovery import NotJson
from schemas.errors import ApiError
from schemas.service.memory_budget import UNKNOWN, Budget

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
JSON_TYPES = frozenset({b"application/json", b"text/plain", b""})
"""Beacons (``navigator.sendBeacon``) come as text/plain; a missing type is taken for JSON."""
MOST_ARRIVING = 64 * 1024 * 1024
"""Bytes of all bodies that are arriving at a time, in a process."""
MOST_CODINGS = 3
MOST_MEMBERS = 100
"""Members of a gzip stream, or frames of a zstd one: each costs a pass over the bytes behind it."""
BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"
"""The first bytes of every gzip stream, and of no JSON."""
SMALL = 8 * 1024
"""Bytes of a decoded body that costs too little to be counted while it is served."""
SERVED = Budget(64 * 1024 * 1024, "large requests")
"""Bytes of decoded bodies in service, of all workspaces: a parsed body takes several times its size."""
_ARRIVING = Budget(MOST_ARRIVING, "request bodies")


def _too_large(limit: int) -> ApiError:
    return ApiError("too_large", f"the body is larger than {limit} bytes")


async def read(receive: Receive, limit: int, owner: str = UNKNOWN, budget: Budget = _ARRIVING) -> bytes:
    """Reads the whole body; its bytes count against the budget of the workspace ``owner``.

    Raises ``ApiError`` as soon as the body exceeds the limit or the budget, ``ClientDisconnect`` if it ends early.
    """
    message = await _next(receive)
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], 0
        try:
            while True:
                budget.take(len(parts[-1]), owner)
                size += len(parts[-1])
                if not message.get("more_body") or size > limit:
                    break
                message = await _next(receive)
                parts.append(message.get("body", b""))
        finally:
            budget.give(size, owner)
        body = b"".join(parts)
    if len(body) > limit:
        raise _too_large(limit)
    return body


def hold(scope: MutableMapping[str, Any], raw: bytes, owner: str) -> None:
    """Count a decoded body until its request is answered; raises ``ApiError`` (503) where there is no room."""
    if len(raw) > SMALL:
        SERVED.hold(scope, len(raw), owner)


async def _next(receive: Receive) -> MutableMapping[str, Any]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


def _inflate(data: bytes, wbits: int, limit: int, *, members: bool) -> bytes:
    """Decode a stream, with ``members`` several concatenated streams; raises for bytes behind the last."""
    parts, left = [], limit
    for _ in range(MOST_MEMBERS if members else 1):
        stream = zlib.decompressobj(wbits)
        parts.append(stream.decompress(data, left + 1))
        left -= len(parts[-1])
        if left < 0:
            raise _too_large(limit)
        if not stream.eof:
            raise ApiError("invalid_encoding", "the compressed body ends early", "Content-Encoding")
        data = stream.unused_data
        if not data:
            return b"".join(parts)
    raise _trailing()


def _trailing() -> ApiError:
    message = f"bytes, or more than {MOST_MEMBERS} members, stand behind the end of the compressed body"
    return ApiError("invalid_encoding", message, "Content-Encoding")


def _gzip(data: bytes, limit: int) -> bytes:
    return _inflate(data, 31, limit, members=True)


def _deflate(data: bytes, limit: int) -> bytes:
    # RFC 9110 says zlib-wrapped; some clients send the bare stream
    return _inflate(data, 15 if data[:1] == b"\x78" else -15, limit, members=False)


def _brotli(data: bytes, limit: int) -> bytes:
    stream = brotli.Decompressor()
    out: bytes = stream.process(data, output_buffer_limit=limit + 1)
    while not stream.is_finished() and len(out) <= limit and not stream.can_accept_more_data():
        out += stream.process(b"", output_buffer_limit=limit + 1)
    if len(out) > limit:
        raise _too_large(limit)
    if not stream.is_finished():
        raise ApiError("invalid_encoding", "the compressed body ends early", "Content-Encoding")
    return out


def _zstd(data: bytes, limit: int) -> bytes:
    """Decode one or several concatenated frames."""
    with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data, read_across_frames=True) as reader:
        out: bytes = reader.read(limit + 1)
    if len(out) > limit:
        raise _too_large(limit)
    # the reader takes a cut-off frame for a short one; now that the size is known, unpacking it all is safe
    for _ in range(MOST_MEMBERS):
        stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        stream.decompress(data)
        if not stream.eof:
            raise ApiError("invalid_encoding", "the compressed body ends early", "Content-Encoding")
        data = stream.unused_data
        if not data:
            return out
    raise _trailing()


ENCODINGS: dict[bytes, Callable[[bytes, int], bytes]] = {
    b"gzip": _gzip,
    b"x-gzip": _gzip,
    b"deflate": _deflate,
    b"br": _brotli,
    b"zstd": _zstd,
}


def decode(data: bytes, encoding: bytes, limit: int) -> bytes:
    """The body without its Content-Encoding; the limit applies to the output of each coding."""
    if not encoding:
        return data
    codings = [coding for part in encoding.split(b",") if (coding := part.strip().lower()) not in (b"", b"identity")]
    if len(codings) > MOST_CODINGS or not all(coding in ENCODINGS for coding in codings):
        raise ApiError(
            "unsupported_media_type",
            f"Content-Encoding must be gzip, deflate, br or zstd, or a list of at most {MOST_CODINGS} of them",
            "Content-Encoding",
        )
    for coding in reversed(codings):
        try:
            data = ENCODINGS[coding](data, limit)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            raise ApiError(
                "invalid_encoding", f"the body is not valid {coding.decode('latin-1')}: {error}", "Content-Encoding"
            ) from error
    return data


def check_content_type(value: bytes) -> None:
    """Raises ``ApiError`` (415) unless it is JSON."""
    kind = value.split(b";", 1)[0].strip().lower()
    if kind not in JSON_TYPES:
        raise ApiError("unsupported_media_type", "Content-Type must be application/json", "Content-Type")


def parse(data: bytes) -> Any:
    """The JSON value; raises ``ApiError`` (400) with the place of the error."""
    data = data.removeprefix(BOM)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise json_recovery.diagnose(data, str(error)) from None


def parse_mended(data: bytes) -> Any:
    """As ``parse``, for clients that cannot be corrected: invalid characters are replaced."""
    value = parse_batch(data, "")
    return value.recover(mend=True) if isinstance(value, NotJson) else value


def parse_batch(data: bytes, label: str) -> Any:
    """Returns the JSON value, or ``NotJson``: the batch's valid items can be recovered from it once the key is known.

    The fast parser refuses the whole text because of a single NaN or lone surrogate.
    """
    data = data.removeprefix(BOM)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return NotJson(data, label, str(error))
