"""A parsed Avro schema in; functions that write and read its records out; pure.

They are compiled from the schema, as ``dataclasses`` compiles its methods: each field costs what it takes and no look
at its type. So the bytes, which are those of fastavro, take half its time. For the types that our records have:
records, arrays, texts, bytes, longs, booleans, and any of these or null.
"""

from collections.abc import Callable, Collection
from textwrap import indent
from typing import Any

Write = Callable[[Any], bytes]
Read = Callable[[bytes, int], tuple[Any, int]]
_SHORT = 4096


def _varint(n: int) -> bytes:
    if n < 0 or n >> 64:
        raise OverflowError("more than 64 bits")
    out = bytearray()
    while n > 0x7F:
        out.append((n & 0x7F) | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


_SIZES = [_varint(n << 1) for n in range(_SHORT)]


def size(n: int) -> bytes:
    """How many bytes or items follow."""
    return _SIZES[n] if n < _SHORT else _varint(n << 1)


def _more(data: bytes, at: int, n: int) -> tuple[int, int]:
    """The rest of a long whose first byte ``n`` says that it goes on."""
    n &= 0x7F
    for shift in range(7, 64, 7):
        byte = data[at]
        at += 1
        n |= (byte & 0x7F) << shift
        if byte <= 0x7F and n >> 64 == 0:
            return n, at
    raise ValueError("a long has more than 64 bits")


def _negative() -> None:
    raise ValueError("a length is negative")


_STEPS = [0 if n & 1 or n > 127 else 1 + (n >> 1) for n in range(256)]
"""By its first byte, how long a text is with its length; 0: longer, or none."""


def _leap(data: bytes, at: int) -> int:
    """Behind a text whose length takes more than a byte."""
    n = data[at]
    at += 1
    if n > 127:
        n, at = _more(data, at, n)
    if n & 1:
        _negative()
    return at + (n >> 1)


def _none(name: str) -> None:
    raise TypeError(f"{name} is None")


_HEAD = "n = data[at]\nat += 1\nif n > 127: n, at = more(data, at, n)\n"
_SLICE = "if n & 1: negative()\nstart = at\nat += n >> 1\n"
_PUT_RAW = "put(sizes[len(raw)] if len(raw) < short else size(len(raw)))\nput(raw)\n"
_ZERO = r"put(b'\0')"


class _CodeWriter:
    """The functions of one schema's records; ``name`` is what holds a value in the code around it."""

    def __init__(self, only: Collection[str] = ()) -> None:
        """``only``: the names of fields that are read, of all records; empty: all are."""
        self._only = only
        self._records: dict[str, Any] = {}
        """By the names that later types call them by."""
        self.names: dict[str, Any] = {
            "sizes": _SIZES,
            "short": _SHORT,
            "size": size,
            "varint": _varint,
            "more": _more,
            "negative": _negative,
            "steps": _STEPS,
            "leap": _leap,
            "none": _none,
        }

    def _define(self, head: str, body: str) -> str:
        name = f"f{len(self.names)}"
        exec(f"def {name}({head}):\n{indent(body, ' ')}", self.names)  # noqa: S102 - made of our own schema files
        return name

    def _record(self, schema: Any) -> Any:
        """Where it is one, or the name of one."""
        if isinstance(schema, dict) and schema["type"] == "record":
            self._records[schema["name"]] = schema
            return schema
        return self._records.get(schema) if isinstance(schema, str) else None

    def write(self, schema: Any, name: str) -> str:
        """Code that puts a value, whatever it is."""
        if (record := self._record(schema)) is not None:
            return f"{self.record_writer(record)}(put, {name})\n"
        return f"if {name}:\n{indent(self._write_some(schema, name), ' ')}else: {_ZERO}\n"

    def _write_some(self, schema: Any, name: str) -> str:
        """The same of what is not empty, 0, false or null: those are all one zero."""
        match schema:
            case "string":
                return f"raw = {name}.encode()\n{_PUT_RAW}"
            case "bytes":
                return f"raw = {name}\n{_PUT_RAW}"
            case "long":
                return f"put(varint(({name} << 1) ^ ({name} >> 63)))\n"
            case "boolean":
                return r"put(b'\1')" + "\n"
            case ["null", other]:
                return r"put(b'\2')" + "\n" + self.write(other, name)
            case {"type": "array", "items": items}:
                each = indent(self.write(items, "one"), " ")
                return f"put(size(len({name})))\nfor one in {name}:\n{each}{_ZERO}\n"
        raise ValueError(f"no type of our records: {schema}")

    def record_writer(self, schema: Any) -> str:
        body = "get = datum.get\n"
        for field in schema["fields"]:
            name, of = field["name"], field["type"]
            body += (
                f"value = get({name!r}, {field['default']!r})\n" if "default" in field else f"value = datum[{name!r}]\n"
            )
            if of in ("string", "bytes", "long", "boolean"):
                body += f"if value is None: none({name!r})\n"
            body += self.write(of, "value")
        return self._define("put, datum", body)

    def read(self, schema: Any, name: str) -> str:
        """Code that sets ``name`` to what stands at ``at``."""
        if (record := self._record(schema)) is not None:
            return f"{name}, at = {self.record_reader(record)}(data, at)\n"
        match schema:
            case "string":
                text = indent(f"{_SLICE}{name} = data[start:at].decode()\n", " ")
                return f"{_HEAD}if n:\n{text}else: {name} = ''\n"
            case "bytes":
                return f"{_HEAD}{_SLICE}{name} = data[start:at]\n"
            case "long":
                return f"{_HEAD}{name} = (n >> 1) ^ -(n & 1)\n"
            case "boolean":
                return f"{name} = (False, True)[data[at]]\nat += 1\n"
            case ["null", other]:
                return f"{_HEAD}if n:\n{indent(self.read(other, name), ' ')}else: {name} = None\n"
            case {"type": "array", "items": items}:
                # a negative number of items is followed by the block's bytes
                skip = f"left = n + 1 >> 1\nif n & 1:\n{indent(_HEAD, ' ')}"
                each = indent(f"{self.read(items, 'one')}items.append(one)\n", "  ")
                block = indent(f"{skip}for _ in range(left):\n{each}{_HEAD}", " ")
                return f"items = []\n{_HEAD}while n:\n{block}{name} = items\n"
        raise ValueError(f"no type of our records: {schema}")

    def skip(self, schema: Any) -> str:
        """Code that passes over what stands at ``at``."""
        if (record := self._record(schema)) is not None:
            return "".join(self.skip(field["type"]) for field in record["fields"])
        match schema:
            case "string" | "bytes":
                return "n = steps[data[at]]\nif n: at += n\nelse: at = leap(data, at)\n"
            case "long":
                return "while data[at] > 127: at += 1\nat += 1\n"
            case {"type": "array", "items": items}:
                block = f"left = n + 1 >> 1\nif n & 1:\n{indent(_HEAD, ' ')}for _ in range(left):\n"
                each = indent(self.skip(items), " ")
                return f"{_HEAD}while n:\n{indent(f'{block}{each}{_HEAD}', ' ')}"
        return self.read(schema, "_")

    def record_reader(self, schema: Any) -> str:
        body, wanted = "", []
        for n, field in enumerate(schema["fields"]):
            if not self._only or field["name"] in self._only:
                body += self.read(field["type"], f"value{n}")
                wanted.append(f"{field['name']!r}: value{n}")
            else:
                body += self.skip(field["type"])
        return self._define("data, at", f"{body}return {{{', '.join(wanted)}}}, at\n")


def writer(schema: Any) -> Write:
    """What gives a record's bytes; that raises for what the schema does not allow."""
    code = _CodeWriter()
    put_record = code.names[code.record_writer(schema)]

    def write(datum: Any) -> bytes:
        parts: list[bytes] = []
        put_record(parts.append, datum)
        return b"".join(parts)

    return write


def reader(schema: Any, only: Collection[str] = ()) -> Read:
    """(bytes, where a record begins) -> the record and where it ends: beyond the bytes, where these end too early.

    That raises ``ValueError`` or ``IndexError`` for what is none; what it costs is bounded by the bytes. With ``only``
    records have no other fields, and reading costs less.
    """
    code = _CodeWriter(only)
    read: Read = code.names[code.record_reader(schema)]
    return read
