"""Bytes in, ClickHouse's own compressed frames out, and back, for ``compress=1`` and ``decompress=1``; pure.

A frame is a checksum (CityHash128 of version 1.0.2 over all that follows it), a byte that names the method, two
little-endian sizes (of the frame without its checksum, and of what comes out of it), and the packed bytes.
"""

import struct
from collections.abc import Iterator

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from deploy.local.clickhouse.encoding import TooLargeError

NONE, LZ4, ZSTD = 0x02, 0x82, 0x90
METHODS = {"NONE": NONE, "LZ4": LZ4, "LZ4HC": LZ4, "ZSTD": ZSTD}
"""Values of the setting ``network_compression_method``."""
CHUNK = 1 << 20
"""Bytes of an answer in one frame, as a server has them."""
MAX_FRAME = 1 << 30
"""As ClickHouse's own bound."""
_HEAD = struct.Struct("<BII")
_CHECKSUM = 16
_MASK = (1 << 64) - 1


class FrameError(ValueError):
    """The bytes are no frames, or damaged; the message says where."""


def pack(data: bytes, method: int = LZ4) -> bytes:
    """All of it as frames; nothing for no bytes."""
    view = memoryview(data)
    return b"".join(_frame(view[at : at + CHUNK], method) for at in range(0, len(view), CHUNK))


def _frame(data: memoryview, method: int) -> bytes:
    if method == LZ4:
        packed = bytes(lz4.block.compress(data, store_size=False))
    elif method == ZSTD:
        packed = zstandard.ZstdCompressor(level=1).compress(data)
    else:
        packed = bytes(data)
    body = _HEAD.pack(method, _HEAD.size + len(packed), len(data)) + packed
    return _checksum(body) + body


def _checksum(body: bytes) -> bytes:
    """The lower 64 bits first, each half little-endian."""
    value = CityHash128(body)
    return struct.pack("<QQ", value >> 64, value & _MASK)


def unpack(data: bytes, limit: int) -> bytes:
    """The decoded content of frames; raises ``FrameError``, and ``TooLargeError`` before it exceeds ``limit``."""
    parts: list[bytes] = []
    left = limit
    for method, body, size, at in _frames(data):
        left -= size
        if left < 0:
            raise TooLargeError(f"the frames hold more than {limit} bytes")
        try:
            parts.append(_unpacked(method, body, size))
        except (ValueError, RuntimeError, zstandard.ZstdError) as error:
            raise FrameError(f"the frame at byte {at} cannot be unpacked: {error}") from error
        if len(parts[-1]) != size:
            raise FrameError(f"the frame at byte {at} holds {len(parts[-1])} bytes, not {size}")
    return b"".join(parts)


def _frames(data: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """Method, packed bytes, decoded size, and offset of the frame."""
    at = 0
    while at < len(data):
        start = at + _CHECKSUM
        if start + _HEAD.size > len(data):
            raise FrameError(f"the frame at byte {at} ends in its head")
        method, packed, size = _HEAD.unpack_from(data, start)
        if not _HEAD.size <= packed <= MAX_FRAME or start + packed > len(data):
            raise FrameError(f"the frame at byte {at} says to have {packed} bytes, {len(data) - start} are there")
        body = data[start : start + packed]
        if _checksum(body) != data[at:start]:
            raise FrameError(f"the checksum of the frame at byte {at} does not match")
        yield method, body[_HEAD.size :], size, at
        at = start + packed


def _unpacked(method: int, body: bytes, size: int) -> bytes:
    if size > MAX_FRAME:
        raise ValueError(f"{size} bytes in one frame")
    if method == LZ4:
        return bytes(lz4.block.decompress(body, uncompressed_size=size)) if size else b""
    if method == ZSTD:
        return bytes(zstandard.ZstdDecompressor().decompress(body, max_output_size=size))
    if method == NONE:
        return body
    raise ValueError(f"unknown compression method {method:#x}; known: none, LZ4, ZSTD")
