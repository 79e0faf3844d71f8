"""Malformed JSON in; the valid items of its batch, and an error that names the field of each broken one, out; pure.

Linear in the size of any text: every byte is read by the JSON scanner at most once, then by the
token scanner at most once. Structure that the JSON scanner cannot follow is bounded by ``MAX_TOKENS``, and what its
errors cost by ``MAX_SEARCHED``.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import orjson

from ingest.http.mend import mended
from schemas.errors import ApiError

MAX_ITEMS = 10_000
"""Most items that a batch is cut into."""
MAX_TOKENS = 100_000
"""Most structural tokens that are looked at one by one; some 50 ms."""
MAX_SEARCHED = 128 * 1024 * 1024
"""Bytes that the JSON scanner's errors may cost: each counts lines from the start of the text, some 0.2 ms a MB."""
MAX_DIAGNOSED = 20
"""Broken items of a request whose fault is named by its path; the others get the parser's message."""
DIAGNOSED_BYTES = 256 * 1024
"""Longest text whose fault is named by its path: the size of the largest event."""

# possessive, and an unterminated string is a token too: no start of a string is tried again from within it
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}:,]', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*+")
_BIG_INT = 4000
_OPEN, _CLOSE = b"[{", b"]}"
_DECODER = json.JSONDecoder(strict=False)


class _Poison:
    """Stands where a value is that JSON has no word for."""

    def __init__(self, why: str) -> None:
        self.why = why


@dataclass(frozen=True, slots=True)
class NotJson:
    """A body that the fast parser refused, kept until its key is known."""

    data: bytes
    label: str
    message: str

    def text_field(self, names: tuple[str, ...]) -> str | None:
        """The first string that stands under one of the names anywhere in the text."""
        field = re.compile(b'"(?:%s)"[ \t\r\n]*+:[ \t\r\n]*+"([^"\\\\]{1,512})"' % "|".join(names).encode())
        match = field.search(self.data)
        return None if match is None else match[1].decode("latin-1")

    def refusal(self) -> ApiError:
        """The parser's own message."""
        return _unnamed(self.message)

    def recover(self, *, mend: bool = False) -> Any:
        """A value shaped like the text, ``ApiError`` in place of each broken item; raises ``ApiError`` if that fails.

        With ``mend`` broken characters are replaced first; most texts are sound then.
        """
        data, message = self.data, self.message
        if mend:
            data = mended(data)
            try:
                return orjson.loads(data)
            except orjson.JSONDecodeError as error:
                message = str(error)
        span = _Cutter(data, self.label).cut() if self.label else None
        if span is None:
            raise diagnose(data, message)
        start, end, cuts = span
        try:
            outer = orjson.loads(data[:start] + b"[]" + data[end:])
        except orjson.JSONDecodeError:
            raise diagnose(data, message) from None
        items = _items(data, cuts)
        if isinstance(outer, dict):
            outer[self.label] = items
            return outer
        return items


def _items(data: bytes, cuts: list[tuple[int, int]]) -> list[Any]:
    """Each item parsed; a broken one is the ``ApiError`` that says why."""
    items: list[Any] = []
    broken = 0
    for start, end in cuts:
        try:
            items.append(orjson.loads(data[start:end]))
        except orjson.JSONDecodeError as error:
            broken += 1
            named = broken <= MAX_DIAGNOSED
            items.append(diagnose(data[start:end], str(error)) if named else _unnamed(str(error)))
    return items


class _Cutter:
    """Finds the items of an array: the whole text if it is one, else the value of the field ``label``."""

    def __init__(self, data: bytes, label: str) -> None:
        self._data = data
        self._text = data.decode("latin-1")  # one character a byte; structure is ASCII
        self._label = label.encode()
        self._tokens = 0
        self._searched = 0

    def cut(self) -> tuple[int, int, list[tuple[int, int]]] | None:
        """Returns start and end of the array, and of each item; ``None`` if the array is missing or does not end."""
        start = self._array_start()
        if start is None:
            return None
        cuts: list[tuple[int, int]] = []
        item = start + 1
        while True:
            end = self._item_end(item)
            if end is None:
                return None
            closes = self._data[end : end + 1] in _CLOSE
            if not closes or self._data[item:end].strip():
                cuts.append((item, end))
            if closes:
                return start, end + 1, cuts
            if len(cuts) > MAX_ITEMS:
                raise ApiError("too_many", f"at most {MAX_ITEMS} events in one request", self._label.decode())
            item = end + 1

    def _array_start(self) -> int | None:
        depth, text, key = 0, b"", b""
        for token in _TOKEN.finditer(self._data):
            previous, text = text, token[0]
            self._tokens += 1
            if self._tokens > MAX_TOKENS:
                return None
            if text in _OPEN:
                depth += 1
                if text == b"[" and (depth == 1 or (depth == 2 and key == self._label)):
                    return token.start()
            elif text in _CLOSE:
                depth -= 1
            elif text == b":" and depth == 1:
                key = previous[1:-1]
        return None

    def _item_end(self, item: int) -> int | None:
        """Where the comma or bracket behind an item stands."""
        space = _SPACE.match(self._data, item)
        at = item if space is None else space.end()
        if self._searched < MAX_SEARCHED:
            # not JSON, or too deep: its end is where its brackets say
            try:
                at = _DECODER.raw_decode(self._text, at)[1]
            except json.JSONDecodeError as error:
                self._searched += error.pos
            except (ValueError, RecursionError):
                pass
        depth = 0
        for token in _TOKEN.finditer(self._data, at):
            text = token[0]
            self._tokens += 1
            if self._tokens > MAX_TOKENS:
                return None
            if text in _OPEN:
                depth += 1
            elif text in _CLOSE:
                if depth == 0:
                    return token.start()
                depth -= 1
            elif text == b"," and depth == 0:
                return token.start()
        return None


def _unnamed(message: str) -> ApiError:
    deep = "depth limit" in message
    return ApiError("invalid_json", "nested too deep" if deep else f"not valid JSON: {message}")


def diagnose(data: bytes, message: str) -> ApiError:
    """Why the text is refused, with the path of the value at fault where one can be named."""
    if len(data) > DIAGNOSED_BYTES:
        return _unnamed(message)
    try:
        value = json.loads(
            data.decode("utf-8", "surrogateescape"),
            parse_constant=lambda name: _Poison(f"{name} is not JSON"),
            parse_float=_float,
            parse_int=_int,
        )
    except RecursionError:
        return ApiError("invalid_json", "nested too deep")
    except ValueError:
        return _unnamed(message)
    place = _find(value)
    if place is None:
        return ApiError("invalid_json", f"not valid JSON: {message}")
    path, why = place
    return ApiError("invalid_json", why, path or None)


def _float(text: str) -> float | _Poison:
    number = float(text)
    return number if math.isfinite(number) else _Poison("the number is too large")


def _int(text: str) -> int | float | _Poison:
    if len(text) > _BIG_INT:
        return _Poison("the number is too large")
    try:
        return float(text) if len(text) > 18 else int(text)
    except OverflowError:
        return _Poison("the number is too large")


def _find(root: Any) -> tuple[str, str] | None:
    """The first value that no JSON text may hold; without recursion, since depth may be the fault."""
    stack: list[tuple[str, Any]] = [("", root)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, _Poison):
            return path, value.why
        if isinstance(value, float) and not math.isfinite(value):
            return path, "the number is too large"
        if isinstance(value, str) and _is_broken(value):
            return path, "the text holds a lone surrogate or bytes that are not UTF-8"
        if isinstance(value, dict):
            broken = next((k for k in value if _is_broken(k)), None)
            if broken is not None:
                return path, "a field name holds a lone surrogate or bytes that are not UTF-8"
            stack.extend((f"{path}.{k}" if path else k, v) for k, v in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((f"{path}[{i}]", v) for i, v in reversed(list(enumerate(value))))
    return None


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
