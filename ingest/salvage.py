"""Text that is not JSON in; the sound items of its batch, and for each broken one the field that breaks it, out."""

import json
import math
import re
from typing import Any

import orjson

from schemas.errors import Refused

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}:,]', re.DOTALL)
_BIG_INT = 4000
_OPEN, _CLOSE = b"[{", b"]}"


class _Poison:
    """Stands where a value is that JSON has no word for."""

    def __init__(self, why: str) -> None:
        self.why = why


def recover(data: bytes, label: str, message: str) -> Any:
    """A value shaped like the text, broken batch items replaced by ``Refused``; raises ``Refused`` if that fails."""
    span = _items_span(data, label) if label else None
    if span is None:
        raise diagnose(data, message)
    start, end, cuts = span
    try:
        outer = orjson.loads(data[:start] + b"[]" + data[end:])
    except orjson.JSONDecodeError:
        raise diagnose(data, message) from None
    items = [_item(data[a:b]) for a, b in cuts]
    if isinstance(outer, dict):
        outer[label] = items
        return outer
    return items


def _item(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return diagnose(text, str(error))


def _items_span(data: bytes, label: str) -> tuple[int, int, list[tuple[int, int]]] | None:
    """Where the batch's array lies, and where each item does; ``None`` where there is no such array."""
    depth, target = 0, None
    last_string, key = b"", b""
    start = item = 0
    cuts: list[tuple[int, int]] = []
    for token in _TOKEN.finditer(data):
        text, at = token[0], token.start()
        if text in _OPEN:
            depth += 1
            if target is None and text == b"[" and (depth == 1 or (depth == 2 and key == label.encode())):
                target, start, item = depth, at, at + 1
        elif text in _CLOSE:
            if depth == target:
                if data[item:at].strip():
                    cuts.append((item, at))
                return start, at + 1, cuts
            depth -= 1
        elif text == b"," and depth == target:
            cuts.append((item, at))
            item = at + 1
        elif text == b":" and depth == 1:
            key = last_string
        elif text[:1] == b'"':
            last_string = text[1:-1]
    return None


def diagnose(data: bytes, message: str) -> Refused:
    """Why the text is refused, with the path of the value at fault where one can be named."""
    try:
        value = json.loads(
            data.decode("utf-8", "surrogateescape"),
            parse_constant=lambda name: _Poison(f"{name} is not JSON"),
            parse_float=_float,
            parse_int=_int,
        )
    except RecursionError:
        return Refused("invalid_json", "nested too deep")
    except ValueError:
        deep = "depth limit" in message
        return Refused("invalid_json", "nested too deep" if deep else f"not valid JSON: {message}")
    found = _find(value)
    if found is None:
        return Refused("invalid_json", f"not valid JSON: {message}")
    path, why = found
    return Refused("invalid_json", why, path or None)


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
