"""JSON text with broken characters in; the same text with U+FFFD in their place, in linear time, out; pure.

Text that a client cut by UTF-16 units ends in half a surrogate pair, which JSON's grammar allows and UTF-8 cannot hold.
"""

import re

MAX_MENDED = 100_000
"""At most so many lone surrogates are replaced: each costs a step in Python."""
_REPLACEMENT = b"\\ufffd"
# possessive: text that has been read as valid is not read again
_SOUND = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|\\u[0-9a-cA-CeEfF][0-9a-fA-F]{3}|\\u[dD][0-7][0-9a-fA-F]{2})*+"
)
_HALF = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def mended(data: bytes) -> bytes:
    """Replaces lone surrogates and invalid UTF-8; other errors of the JSON text remain."""
    try:
        data.decode()
    except UnicodeDecodeError:
        data = _joined(data)
    parts: list[bytes] = []
    at = 0
    for _ in range(MAX_MENDED):
        sound = _SOUND.match(data, at)
        half = _HALF.match(data, at if sound is None else sound.end())
        if half is None:
            break
        parts += (data[at : half.start()], _REPLACEMENT)
        at = half.end()
    parts.append(data[at:])
    return b"".join(parts)


def _joined(data: bytes) -> bytes:
    """Converts CESU-8, which some browsers send, to UTF-8: two surrogates of three bytes become one character."""
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace").encode()
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
