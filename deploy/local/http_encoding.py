"""Bytes and the name of an HTTP content coding in, the coded or decoded bytes out."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Mapping

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


def choose(accepted: str) -> str:
    """The coding to answer with; empty: none that is accepted is known."""
    offers = {}
    for offer in accepted.split(","):
        name, _, weight = offer.partition(";")
        offers[name.strip().lower()] = weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return next((name for name in ENCODERS if offers.get(name)), "")


def encode(data: bytes, encoding: str) -> bytes:
    return ENCODERS[encoding](data)
