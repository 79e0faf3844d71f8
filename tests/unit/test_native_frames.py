"""ClickHouse's frames byte for byte as clickhouse-jdbc and clickhouse-go read and write them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.clickhouse.encoding import TooLargeError
from deploy.local.clickhouse.native_frames import CHUNK, LZ4, NONE, ZSTD, FrameError, pack, unpack

ONE_LINE = bytes.fromhex("de79cf087fb635049db816df195b016b820c0000000200000020310a")
"""``1`` and a line break by LZ4; both clients check the checksum."""


def test_a_frame_has_the_bytes_that_clients_know() -> None:
    assert pack(b"1\n") == ONE_LINE
    assert unpack(ONE_LINE, 2) == b"1\n"
    assert (pack(b""), unpack(b"", 0)) == (b"", b"")
    plain = pack(b"abc", NONE)
    assert plain[16:] == b"\x02" + struct.pack("<II", 12, 3) + b"abc"


@given(st.binary(max_size=5000), st.sampled_from([NONE, LZ4, ZSTD]))
def test_unpacking_undoes_packing(data: bytes, method: int) -> None:
    assert unpack(pack(data, method), len(data)) == data


@pytest.mark.parametrize("method", [NONE, LZ4, ZSTD])
def test_large_answers_are_several_frames(method: int) -> None:
    data = bytes(range(256)) * (CHUNK // 256) * 2 + b"end"
    frames = pack(data, method)
    assert unpack(frames, len(data)) == data
    first = 16 + struct.unpack_from("<I", frames, 17)[0]
    assert struct.unpack_from("<I", frames, 21)[0] == CHUNK
    assert unpack(frames[:first], CHUNK) == data[:CHUNK]


@pytest.mark.parametrize("at", range(len(ONE_LINE)))
def test_a_byte_that_changed_is_noticed(at: int) -> None:
    broken = bytearray(ONE_LINE)
    broken[at] ^= 1
    with pytest.raises(FrameError):
        unpack(bytes(broken), 1000)


@pytest.mark.parametrize("size", range(1, len(ONE_LINE)))
def test_a_frame_that_is_cut_off_is_noticed(size: int) -> None:
    with pytest.raises(FrameError):
        unpack(ONE_LINE[:size], 1000)


def test_more_than_the_limit_is_never_unpacked() -> None:
    bomb = pack(bytes(10 * CHUNK))
    assert len(bomb) < CHUNK
    with pytest.raises(TooLargeError):
        unpack(bomb, 10 * CHUNK - 1)
    assert len(unpack(bomb, 10 * CHUNK)) == 10 * CHUNK


@given(st.binary(max_size=200))
def test_noise_is_refused_and_nothing_else_is_raised(noise: bytes) -> None:
    for data in (noise, ONE_LINE + noise):
        try:
            unpack(data, 1000)
        except FrameError:
            continue
        assert data in (b"", ONE_LINE)
