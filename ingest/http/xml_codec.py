"""XML text in, its JSON value out, and back, by Altcraft's rules; pure.

1. The root is ``<xml>``; a tag is a field, a repeated tag an array, an empty one null.
2. ``array='true'`` makes an array of one tag or none, ``string='true'`` a string that looks like a number or a
   truth value, ``json='true'`` the value of the JSON text inside.
3. The parser fetches and expands nothing. It refuses document types, entities and processing instructions, and more
   depth or tags than a request needs.
"""

import json
import re
from typing import Any
from xml.etree.ElementTree import ParseError

import orjson
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from ingest.http import body
from schemas.errors import ApiError

ROOT = "xml"
MAX_DEPTH = 64
MAX_TAGS = 100_000
_NUMBER = re.compile(r"^-?(0|[1-9]\d{0,17})(\.\d{1,17})?([eE][+-]?\d{1,2})?$", re.ASCII)
_WORDS = {"true": True, "false": False}
_NAME = re.compile(r"^[A-Za-z_\u0410-\u044f][A-Za-z0-9_.\-\u0410-\u044f]*$")
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class _Node:
    __slots__ = ("attributes", "fields", "lists", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.fields: dict[str, Any] = {}
        self.lists: set[str] = set()
        self.text: list[str] = []

    def add(self, name: str, value: Any, *, array: bool, empty: bool) -> None:
        if name in self.lists:
            self.fields[name].append(value)
        elif array:
            before = [self.fields[name]] if name in self.fields else []
            self.fields[name] = before if empty else [*before, value]
            self.lists.add(name)
        elif name in self.fields:
            self.fields[name] = [self.fields[name], value]
            self.lists.add(name)
        else:
            self.fields[name] = value


class _Builder:
    """The parser's target: values are made as tags close, so no tree is ever built."""

    def __init__(self) -> None:
        self._open: list[_Node] = []
        self._tags = 0
        self.value: Any = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._tags += 1
        if self._tags > MAX_TAGS:
            raise ApiError("invalid_field", f"more than {MAX_TAGS} tags")
        if len(self._open) >= MAX_DEPTH:
            raise ApiError("invalid_field", f"nested deeper than {MAX_DEPTH}")
        if not self._open and name != ROOT:
            raise ApiError("invalid_type", f"the root must be <{ROOT}>")
        self._open.append(_Node(name, attributes))

    def data(self, text: str) -> None:
        self._open[-1].text.append(text)

    def end(self, _name: str) -> None:
        node = self._open.pop()
        value = _value(node)
        if not self._open:
            self.value = value
            return
        marked = node.attributes.get("array") == "true"
        self._open[-1].add(node.name, value, array=marked, empty=marked and value is None)

    def close(self) -> Any:
        return self.value


def _value(node: _Node) -> Any:
    text = "".join(node.text)
    if node.attributes.get("json") == "true":
        try:
            return body.parse_mended(text.encode())
        except ApiError as refused:
            raise ApiError("invalid_field", f"{node.name} is not JSON: {refused.message}", node.name) from None
    if node.fields:
        return node.fields
    if node.attributes.get("string") == "true":
        return text
    return typed(text)


def typed(text: str) -> Any:
    """A number or truth value where the text is one, null where it is empty, else the text."""
    bare = text.strip()
    if not bare:
        return None
    if bare in _WORDS:
        return _WORDS[bare]
    if _NUMBER.match(bare):
        return orjson.loads(bare)
    return text


def loads(data: bytes) -> Any:
    """The value; raises ``ApiError`` (400, or 422 for a field) for anything that is not such a document."""
    parser = DefusedXMLParser(target=_Builder(), forbid_dtd=True, forbid_entities=True, forbid_external=True)
    try:
        parser.feed(data)
        value = parser.close()
    except DefusedXmlException as error:
        raise ApiError("invalid_json", "document types and entities are not supported") from error
    except (ParseError, ValueError, LookupError) as error:
        raise ApiError("invalid_json", f"not valid XML: {error}") from error
    return {} if value is None else value


def dumps(value: dict[str, Any]) -> bytes:
    """A document that ``loads`` reads back as the same value."""
    parts: list[str] = []
    _write_fields(parts, value)
    return f"<{ROOT}>{''.join(parts)}</{ROOT}>".encode()


def _write_fields(parts: list[str], value: dict[str, Any]) -> None:
    for name, part in value.items():
        if isinstance(part, list):
            _write_list(parts, name, part)
        else:
            _write(parts, name, part, "")


def _write_list(parts: list[str], name: str, items: list[Any]) -> None:
    if any(isinstance(item, list) or item is None for item in items):
        _write_json(parts, name, items)
        return
    mark = " array='true'" if len(items) < 2 else ""
    if not items:
        parts.append(f"<{name}{mark}/>")
    for item in items:
        _write(parts, name, item, mark)


def _write(parts: list[str], name: str, value: Any, mark: str) -> None:
    if isinstance(value, dict):
        if not value or not all(_NAME.match(key) for key in value):
            _write_json(parts, name, value, mark)
            return
        parts.append(f"<{name}{mark}>")
        _write_fields(parts, value)
        parts.append(f"</{name}>")
    elif value is None:
        parts.append(f"<{name}{mark}/>")
    elif isinstance(value, bool):
        parts.append(f"<{name}{mark}>{'true' if value else 'false'}</{name}>")
    elif isinstance(value, int | float):
        text = orjson.dumps(value).decode()
        if _NUMBER.match(text):
            parts.append(f"<{name}{mark}>{text}</{name}>")
        else:
            _write_json(parts, name, value, mark)
    elif _UNFIT.search(value):
        _write_json(parts, name, value, mark)
    else:
        plain = "" if isinstance(typed(value), str) else " string='true'"
        parts.append(f"<{name}{mark}{plain}>{value.translate(_ESCAPES)}</{name}>")


def _write_json(parts: list[str], name: str, value: Any, mark: str = "") -> None:
    text = json.dumps(value, separators=(",", ":")).translate(_ESCAPES)
    parts.append(f"<{name}{mark} json='true'>{text}</{name}>")
