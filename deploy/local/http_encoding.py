"""The bytes of an HTTP body and what its headers say of them in, decoded bytes or a form's fields out; and back."""

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
    """The body is not what its ``Content-Encoding`` says, or nobody here knows that encoding."""


def _lz4(data: bytes) -> bytes:
    # lz4.frame.decompress stops after the first frame; a client that streams may send many
    with lz4.frame.open(io.BytesIO(data)) as frames:
        return bytes(frames.read())


def _zstd(data: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as frames:
        return frames.read()


DECODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "lz4": _lz4,
    "zstd": _zstd,
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "deflate": zlib.decompress,
    "xz": lzma.decompress,
    "bz2": bz2.decompress,
}

# In the order in which they are preferred: by speed, since the other end is on the same machine.
ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": lambda data: zstandard.ZstdCompressor(level=1).compress(data),  # not one object: it is not thread-safe
    "gzip": lambda data: gzip.compress(data, 1),
    "deflate": lambda data: zlib.compress(data, 1),
    "br": lambda data: brotli.compress(data, quality=1),
}


def decode(data: bytes, encoding: str) -> bytes:
    """Raises ``EncodingError``."""
    if not encoding or encoding == "identity":
        return data
    decoder = DECODERS.get(encoding)
    if decoder is None:
        raise EncodingError(f"Unknown compression method: {encoding}; known are {', '.join(DECODERS)}")
    try:
        return decoder(data)
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


def form_fields(data: bytes, content_type: str) -> dict[str, str]:
    """The text fields of a multipart form; raises ``EncodingError`` for files in it and for what is no form."""
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
