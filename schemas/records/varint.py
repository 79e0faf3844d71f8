"""Whole numbers in, Avro's bytes of them out, and back: seven bits a byte, the lowest first; pure."""

from typing import Final

SHORT: Final = 4096
_MOST_KEPT: Final = 4096
_EIGHT: Final = 8
"""Bytes of a version."""
_LEAST_BITS: Final = 49
"""A version has more bits than a time. Contacts share versions, so numbers of eight bytes are cached."""
_read: Final[dict[bytes, int]] = {}
_written: Final[dict[int, bytes]] = {}


def _spelled(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append((n & 0x7F) | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


_SMALL: Final = [_spelled(n) for n in range(2 * SHORT)]


def varint(n: int) -> bytes:
    """Encodes a number; raises ``OverflowError`` for more than 64 bits."""
    if 0 <= n < 2 * SHORT:
        return _SMALL[n]
    if 1 << 35 <= n < 1 << 42:  # a time
        return bytes(
            (n & 127 | 128, n >> 7 & 127 | 128, n >> 14 & 127 | 128, n >> 21 & 127 | 128, n >> 28 & 127 | 128, n >> 35)
        )
    encoded = _written.get(n)
    if encoded is not None:
        return encoded
    if n < 0 or n >> 64:
        raise OverflowError("more than 64 bits")
    raw = _spelled(n)
    if len(raw) == _EIGHT:
        _remember(n, raw)
    return raw


def _remember(n: int, raw: bytes) -> None:
    if len(_written) >= _MOST_KEPT:
        _written.clear()
        _read.clear()
    _written[n], _read[raw] = raw, n


SIZES: Final[list[bytes]] = _SMALL[::2]


def size(n: int) -> bytes:
    """How many bytes or items follow."""
    return SIZES[n] if n < SHORT else varint(n << 1)


def more(data: bytes, at: int, n: int) -> tuple[int, int]:
    """The value of a long of several bytes, of which ``n`` is the first, and where it ends."""
    start = at - 1
    decoded = _read.get(data[start : start + _EIGHT])
    if decoded is not None:
        return decoded, start + _EIGHT
    byte = data[at]
    n = n & 0x7F | (byte & 0x7F) << 7
    if byte <= 0x7F:  # a length
        return n, at + 1
    for shift in range(14, 64, 7):
        at += 1
        byte = data[at]
        if byte <= 0x7F:
            n |= byte << shift
            if n >> 64:
                break
            if at + 1 - start == _EIGHT and n >> _LEAST_BITS:  # else it was written with more bytes than it takes
                _remember(n, data[start : at + 1])
            return n, at + 1
        n |= (byte & 0x7F) << shift
    raise ValueError("a long has more than 64 bits")


def negative() -> None:
    """Raises the error of a text with a negative length."""
    raise ValueError("a length is negative")


STEPS: Final[list[int]] = [0 if n & 1 or n > 127 else 1 + (n >> 1) for n in range(256)]
"""By the first byte of a text: its bytes, the length included; 0: the length is longer or invalid."""


def leap(data: bytes, at: int) -> int:
    """Returns the end of a text whose length has more than one byte."""
    n = data[at]
    at += 1
    if n > 127:
        n, at = more(data, at, n)
    if n & 1:
        negative()
    return at + (n >> 1)
