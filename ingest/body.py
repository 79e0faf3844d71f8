"""Request bytes in, a JSON value out: sizes, encodings and content types are checked, bombs are not unpacked."""

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import brotli
import orjson
import zstandard

from ingest import salvage
from ingest.salvage import NotJson
from schemas.errors import Refused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
JSON_TYPES = frozenset({b"application/json", b"text/plain", b""})
"""Beacons (``navigator.sendBeacon``) come as text/plain; a missing type is taken for JSON."""


def _too_large(limit: int) -> Refused:
    return Refused("too_large", f"the body is larger than {limit} bytes")


async def read(receive: Receive, limit: int) -> bytes:
    """The whole body; raises ``Refused`` as soon as it is over the limit."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body") and size <= limit:
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        body = b"".join(parts)
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _inflate(data: bytes, wbits: int, limit: int) -> bytes:
    stream = zlib.decompressobj(wbits)
    out = stream.decompress(data, limit + 1)
    if len(out) > limit:
        raise _too_large(limit)
    if not stream.eof:
        raise Refused("invalid_encoding", "the compressed body ends early", "Content-Encoding")
    return out


def _gzip(data: bytes, limit: int) -> bytes:
    return _inflate(data, 31, limit)


def _deflate(data: bytes, limit: int) -> bytes:
    # RFC 9110 says zlib-wrapped; some clients send the bare stream
    return _inflate(data, 15 if data[:1] == b"\x78" else -15, limit)


def _brotli(data: bytes, limit: int) -> bytes:
    stream = brotli.Decompressor()
    out: bytes = stream.process(data, output_buffer_limit=limit + 1)
    while not stream.is_finished() and len(out) <= limit and not stream.can_accept_more_data():
        out += stream.process(b"", output_buffer_limit=limit + 1)
    if len(out) > limit:
        raise _too_large(limit)
    if not stream.is_finished():
        raise Refused("invalid_encoding", "the compressed body ends early", "Content-Encoding")
    return out


def _zstd(data: bytes, limit: int) -> bytes:
    with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data) as reader:
        out: bytes = reader.read(limit + 1)
    if len(out) > limit:
        raise _too_large(limit)
    # the reader takes a cut-off frame for a short one; now that the size is known, unpacking it all is safe
    stream = zstandard.ZstdDecompressor().decompressobj()
    stream.decompress(data)
    if not stream.eof:
        raise Refused("invalid_encoding", "the compressed body ends early", "Content-Encoding")
    return out


ENCODINGS: dict[bytes, Callable[[bytes, int], bytes]] = {
    b"gzip": _gzip,
    b"deflate": _deflate,
    b"br": _brotli,
    b"zstd": _zstd,
}


def decode(data: bytes, encoding: bytes, limit: int) -> bytes:
    """The body without its Content-Encoding; the limit applies to what comes out."""
    if not encoding or encoding == b"identity":
        return data
    unpack = ENCODINGS.get(encoding.strip().lower())
    if unpack is None:
        raise Refused(
            "unsupported_media_type", "Content-Encoding is none of gzip, deflate, br, zstd", "Content-Encoding"
        )
    try:
        return unpack(data, limit)
    except (zlib.error, brotli.error, zstandard.ZstdError) as error:
        raise Refused(
            "invalid_encoding", f"the body is no {encoding.decode('latin-1')}: {error}", "Content-Encoding"
        ) from error


def check_content_type(value: bytes) -> None:
    """Raises ``Refused`` (415) for what is not JSON."""
    kind = value.split(b";", 1)[0].strip().lower()
    if kind not in JSON_TYPES:
        raise Refused("unsupported_media_type", "Content-Type must be application/json", "Content-Type")


def parse(data: bytes) -> Any:
    """The JSON value; raises ``Refused`` (400), naming the place of what is wrong."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise salvage.diagnose(data, str(error)) from None


def parse_batch(data: bytes, label: str) -> Any:
    """The JSON value, or ``NotJson``, from which a batch's sound items can be recovered once the key is known.

    The fast path refuses the whole text for one NaN or one lone surrogate in it.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return NotJson(data, label, str(error))
