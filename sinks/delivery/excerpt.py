"""The bytes of a body in; the text of its beginning that the log keeps, as UTF-8, out; pure."""

CUT = "\u2026"
"""The mark behind a cut text."""


def excerpt(data: bytes, most: int) -> bytes:
    """At most so many bytes, with a mark if cut; invalid UTF-8 becomes U+FFFD, and no character is cut in two."""
    if len(data) <= most:
        return data.decode("utf-8", "replace").encode()
    end = last = most - len(CUT.encode())
    while end > last - 4 and data[end] & 0xC0 == 0x80:  # within a character
        end -= 1
    return (data[:end].decode("utf-8", "replace") + CUT).encode()
