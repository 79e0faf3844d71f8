"""The bytes of a body in; the text of its beginning that the log keeps, as UTF-8, out; pure."""

CUT = "\u2026"
"""The mark behind a cut text."""


def excerpt(data: bytes, most: int) -> bytes:
    """Of at most so many bytes, with the sign of a cut; what is not UTF-8 is U+FFFD, no character is cut in two."""
    if len(data) <= most:
        return data.decode("utf-8", "replace").encode()
    end = last = most - len(CUT.encode())
    while end > last - 4 and data[end] & 0xC0 == 0x80:  # within a character
        end -= 1
    return (data[:end].decode("utf-8", "replace") + CUT).encode()
