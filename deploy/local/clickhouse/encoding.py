"""The bytes and headers of an HTTP body in, decoded bytes or a form's fields out; and back.

The decoder bounds the decoded size as it goes: a few bytes may decode to gigabytes.
"""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Mapping
from email import message_from_bytes
from email.policy import HTTP

import brotli
import lz4.frame
import zstandard


class EncodingError(Exception):
    """The body does not match its ``Content-Encoding``, or the encoding is unknown."""


class TooLargeError(Exception):
    """More comes out of the body than may."""


Decoder = Callable[[bytes, int], bytes]
"""(data, most bytes) -> decoded bytes, at most one more than that."""


def _lz4(data: bytes, most: int) -> bytes:
    # lz4.frame.decompress stops after the first frame; a client that streams may send many
    with lz4.frame.open(io.BytesIO(data)) as frames:
        return bytes(frames.read(most + 1))


def _zstd(data: bytes, most: int) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as frames:
        out = frames.read(most + 1)
    while data and len(out) <= most:
        # the reader takes a frame that is cut off for a short one
        stream = zstandard.ZstdDecompressor().decompressobj()
        stream.decompress(data)
        if not stream.eof:
            raise EOFError("it ends early")
        data = stream.unused_data
    return out


def _gzip(data: bytes, most: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as members:
        return members.read(most + 1)


def _deflate(data: bytes, most: int) -> bytes:
    stream = zlib.decompressobj()
    out = stream.decompress(data, most + 1)
    if not stream.eof and len(out) <= most:
        raise EOFError("it ends early")
    return out


def _brotli(data: bytes, most: int) -> bytes:
    stream = brotli.Decompressor()
    out: bytes = stream.process(data, output_buffer_limit=most + 1)
    while not stream.is_finished() and len(out) <= most and not stream.can_accept_more_data():
        out += stream.process(b"", output_buffer_limit=most + 1)
    if not stream.is_finished() and len(out) <= most:
        raise EOFError("it ends early")
    return out


def _xz(data: bytes, most: int) -> bytes:
    with lzma.LZMAFile(io.BytesIO(data)) as file:
        return file.read(most + 1)


def _bz2(data: bytes, most: int) -> bytes:
    with bz2.BZ2File(io.BytesIO(data)) as file:
        return file.read(most + 1)


DECODERS: Mapping[str, Decoder] = {
    "lz4": _lz4,
    "zstd": _zstd,
    "gzip": _gzip,
    "br": _brotli,
    "deflate": _deflate,
    "xz": _xz,
    "bz2": _bz2,
}

# In the order in which they are preferred: by speed, since the other end is on the same machine.
ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": lambda data: zstandard.ZstdCompressor(level=1).compress(data),  # not one object: it is not thread-safe
    "gzip": lambda data: gzip.compress(data, 1),
    "deflate": lambda data: zlib.compress(data, 1),
    "br": lambda data: brotli.compress(data, quality=1),
}


def decode(data: bytes, encoding: str, most: int) -> bytes:
    """Raises ``EncodingError``, and ``TooLargeError`` where more than ``most`` bytes come out."""
    if not encoding or encoding == "identity":
        return data
    decoder = DECODERS.get(encoding)
    if decoder is None:
        raise EncodingError(f"Unknown compression method: {encoding}; known are {', '.join(DECODERS)}")
    try:
        out = decoder(data, most)
    except (
        OSError,
        EOFError,
        RuntimeError,
        zlib.error,
        lzma.LZMAError,
        zstandard.ZstdError,
        brotli.error,
    ) as error:
        raise EncodingError(f"The body is not {encoding}: {error}") from error
    if len(out) > most:
        raise TooLargeError
    return out


def form_fields(data: bytes, content_type: str) -> dict[str, str]:
    """The text fields of a multipart form; raises ``EncodingError`` for files, and unless it is a form."""
    form = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + data, policy=HTTP)
    fields = {}
    for part in form.iter_parts():
        name, payload = part.get_param("name", header="Content-Disposition"), part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(payload, bytes) or part.get_filename() is not None:
            raise EncodingError("A form may hold text fields only: external tables are not served here")
        try:
            fields[name] = payload.decode()
        except UnicodeDecodeError as error:
            raise EncodingError(f"The form's field {name} is not UTF-8: {error}") from error
    return fields


def choose(accepted: str) -> str:
    """The coding to answer with; empty: none that is accepted is known."""
    offers = {}
    for offer in accepted.split(","):
        name, _, weight = offer.partition(";")
        offers[name.strip().lower()] = weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return next((name for name in ENCODERS if offers.get(name)), "")


def encode(data: bytes, encoding: str) -> bytes:
    return ENCODERS[encoding](data)
