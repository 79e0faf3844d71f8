"""Bodies in every encoding, whole, cut short and made to explode."""

import gzip
import zlib

import brotli
import pytest
import zstandard

from ingest import body
from schemas.errors import Refused

LIMIT = 1024 * 1024
TEXT = b'{"type":"t","user_id":"u"}' * 100
PACKED = {
    b"gzip": gzip.compress(TEXT),
    b"deflate": zlib.compress(TEXT),
    b"br": brotli.compress(TEXT),
    b"zstd": zstandard.ZstdCompressor().compress(TEXT),
}
BOMB = b"\0" * (200 * LIMIT)


@pytest.mark.parametrize("encoding", PACKED, ids=bytes.decode)
def test_every_encoding_is_undone(encoding: bytes) -> None:
    assert body.decode(PACKED[encoding], encoding, LIMIT) == TEXT


def test_a_bare_deflate_stream_is_undone_too() -> None:
    stream = zlib.compressobj(wbits=-15)
    assert body.decode(stream.compress(TEXT) + stream.flush(), b"deflate", LIMIT) == TEXT


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [
        (b"gzip", gzip.compress(BOMB)),
        (b"deflate", zlib.compress(BOMB)),
        (b"br", brotli.compress(BOMB, quality=1)),
        (b"zstd", zstandard.ZstdCompressor().compress(BOMB)),
    ],
    ids=["gzip", "deflate", "br", "zstd"],
)
def test_a_bomb_is_refused_before_it_unfolds(encoding: bytes, bomb: bytes) -> None:
    assert len(bomb) < LIMIT
    with pytest.raises(Refused) as refused:
        body.decode(bomb, encoding, LIMIT)
    assert refused.value.code == "too_large"


@pytest.mark.parametrize("encoding", PACKED, ids=bytes.decode)
def test_what_is_cut_short_or_something_else_is_refused(encoding: bytes) -> None:
    for data in (PACKED[encoding][:-5], b"not compressed at all", b""):
        with pytest.raises(Refused) as refused:
            body.decode(data, encoding, LIMIT)
        assert refused.value.code == "invalid_encoding"


async def test_a_long_body_is_refused_while_it_arrives() -> None:
    asked = 0

    async def receive() -> dict[str, object]:
        nonlocal asked
        asked += 1
        return {"body": b"x" * 1000, "more_body": True}

    with pytest.raises(Refused) as refused:
        await body.read(receive, 10_000)
    assert refused.value.code == "too_large"
    assert asked <= 12
