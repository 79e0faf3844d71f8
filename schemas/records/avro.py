"""A parsed Avro schema in; functions that write and read its records out; pure.

The functions are compiled from the schema, as ``dataclasses`` compiles its methods, so no field's type is looked up at
run time. They write the same bytes as fastavro in half its time. They support the types of our records: records,
arrays, texts, bytes, longs, booleans, and each of these or null.

Items of a batch often have the same tenant, source and time of receipt. The fields of a ``Run`` are handled as one: if
they equal those of the item before, the writer copies its bytes, and the reader reuses its values. A value's bytes
determine their own length, so the reader has only to compare bytes: an equal beginning means equal values.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from textwrap import indent
from typing import Any, cast

from schemas.records import varint

Write = Callable[[Any], bytes]
Read = Callable[[bytes, int], tuple[Any, int]]
Run = Collection[str]
"""Names of fields that often stay the same together; no arrays and records."""
_MOST_KEPT = 1024
"""Values of a run whose bytes are kept."""
sources: dict[str, str] = {}
"""The code of the hot functions, by its digest: those worth being compiled. Its last definition is the one to call."""


def remember(encoded: dict[Any, bytes], key: Any, parts: list[bytes]) -> bytes:
    """The bytes of a run's values, for the next time."""
    if len(encoded) >= _MOST_KEPT:
        encoded.clear()
    encoded[key] = raw = b"".join(parts)
    return raw


def none(name: str) -> None:
    raise TypeError(f"{name} is None")


def branch(n: int) -> None:
    raise ValueError(f"a union has no branch {n / 2:g}")


_HEAD = """n = data[at]
at += 1
if n > 127:
 byte = data[at]
 if byte > 127: n, at = more(data, at, n)
 else: n, at = n & 127 | byte << 7, at + 1
"""
_SLICE = "if n & 1: negative()\nstart = at\nat += n >> 1\n"
_PUT_RAW = "put(sizes[len(raw)] if len(raw) < short else size(len(raw)))\nput(raw)\n"
_ZERO = r"put(b'\0')"

NAMES: dict[str, Any] = {
    "sizes": varint.SIZES,
    "short": varint.SHORT,
    "size": varint.size,
    "varint": varint.varint,
    "more": varint.more,
    "negative": varint.negative,
    "steps": varint.STEPS,
    "leap": varint.leap,
    "none": none,
    "branch": branch,
    "remember": remember,
}
"""What generated code calls by its names."""


@cache
def _compiled() -> Mapping[str, Any]:
    """Functions by the digest of their code, where `python -m deploy.compile` has compiled what ``sources`` holds."""
    if find_spec("schemas.records.avro_functions") is None:
        return {}
    return cast("Mapping[str, Any]", import_module("schemas.records.avro_functions").FUNCTIONS)


class _CodeWriter:
    """Generates the code that writes and reads one schema's records; ``name`` is the variable that holds a value."""

    def __init__(self, runs: Sequence[Run], only: Collection[str] = (), places: Collection[str] = ()) -> None:
        """``only``: the names of fields that are read, of all records; empty: all are. ``places``: as ``reader``."""
        self._runs = runs
        self._only = only
        self._places = places
        self._records: dict[str, Any] = {}
        """Record schemas by name: later types refer to them."""
        self._before = ""
        """Code at the beginning of a reader: it initialises the runs as empty."""
        self._code: list[str] = []
        self._numbers = count()

    def _define(self, head: str, body: str) -> str:
        name = f"_f{len(self._code)}"
        self._code.append(f"def {name}({head}):\n{indent(body, ' ')}")
        return name

    def function(self, name: str, *, hot: bool) -> Any:
        """Returns the last defined function: its compiled form if there is one, else the interpreted one."""
        source = "".join(self._code)
        digest = hashlib.sha256(source.encode()).hexdigest()
        if hot:
            sources[digest] = source
        compiled = _compiled().get(digest)
        if compiled is not None:
            return compiled
        names = dict(NAMES)
        exec(source, names)  # noqa: S102 - made of our own schema files
        return names[name]

    def _record(self, schema: Any) -> Any:
        """Returns the record's schema, from itself or its name; ``None`` for other types."""
        if isinstance(schema, dict) and schema["type"] == "record":
            self._records[schema["name"]] = schema
            return schema
        return self._records.get(schema) if isinstance(schema, str) else None

    def write(self, schema: Any, name: str) -> str:
        """Code that writes a value of any type."""
        if (record := self._record(schema)) is not None:
            return f"{self.record_writer(record)}(parts, {name})\n"
        return f"{self._write_if(schema, name)}else: {_ZERO}\n"

    def _write_if(self, schema: Any, name: str) -> str:
        return f"if {name}:\n{indent(self._write_some(schema, name), ' ')}"

    def _write_some(self, schema: Any, name: str) -> str:
        """Returns code that writes a value other than empty, 0, false and null: each of those is one zero byte."""
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

    def _grouped(self, fields: Sequence[Any]) -> Iterator[list[tuple[int, Any]]]:
        """Fields with their numbers; those that follow each other and are of one run stand together."""
        group: list[tuple[int, Any]] = []
        within: Run | None = None
        for n, field in enumerate(fields):
            run = next((run for run in self._runs if field["name"] in run), None)
            if group and (run is None or run is not within or field["name"] in self._places):
                yield group
                group = []
            group.append((n, field))
            within = run
        yield group

    def _is_run(self, group: list[tuple[int, Any]]) -> bool:
        return any(group[0][1]["name"] in run for run in self._runs)

    def _put_field(self, field: Any, name: str) -> str:
        """Code that puts a field's value; ``None`` is not a value of a plain type."""
        if field["type"] not in ("string", "bytes", "long", "boolean"):
            return self.write(field["type"], name)
        return f"{self._write_if(field['type'], name)}elif {name} is None: none({field['name']!r})\nelse: {_ZERO}\n"

    def record_writer(self, schema: Any) -> str:
        body = "put, get = parts.append, datum.get\n"
        for group in self._grouped(schema["fields"]):
            values = [
                f"get({field['name']!r}, {field['default']!r})" if "default" in field else f"datum[{field['name']!r}]"
                for _, field in group
            ]
            if not self._is_run(group):
                body += f"value = {values[0]}\n{self._put_field(group[0][1], 'value')}"
                continue
            name = f"_k{len(self._code)}"
            self._code.append(f"{name} = {{}}\n")
            names = "".join(f"value{n}, " for n, _ in group)
            parts = "".join(self._put_field(field, f"value{n}") for n, field in group)
            key, some = f"key{group[0][0]}", f"some{group[0][0]}"
            body += f"{key} = ({', '.join(values)},)\nkept = {name}.get({key})\nif kept is None:\n"
            body += indent(f"{names} = {key}\n{some} = []\nput = {some}.append\n{parts}", " ")
            body += indent(f"put, kept = parts.append, remember({name}, {key}, {some})\n", " ") + "put(kept)\n"
        return self._define("parts, datum", body)

    def bytes_writer(self, schema: Any) -> str:
        """Code of a function that returns a record's bytes; that of ``record_writer`` appends them to a list."""
        put_record = self.record_writer(schema)
        return self._define("datum", f"some = []\n{put_record}(some, datum)\nreturn b''.join(some)\n")

    def read(self, schema: Any, name: str) -> str:
        """Returns code that sets ``name`` to the value at ``at``; other variables in it begin with ``name``."""
        if (record := self._record(schema)) is not None:
            fields = "".join(self._read_field(name, n, field) for n, field in enumerate(record["fields"]))
            return f"{fields}{name} = {self._dict_of(record, name)}\n"
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
                some = indent(self.read(other, name), " ")
                return f"{_HEAD}if n == 2:\n{some}elif n: branch(n)\nelse: {name} = None\n"
            case {"type": "array", "items": items}:
                # a negative number of items is followed by the block's bytes
                skip = f"{name}left = n + 1 >> 1\nif n & 1:\n{indent(_HEAD, ' ')}"
                record = self._record(items)
                each = self.read(items, f"{name}i") if record is None else self._read_neighbour(record, f"{name}i")
                loop = f"for _ in range({name}left):\n{indent(f'{each}{name}.append({name}i)', ' ')}\n"
                return f"{name} = []\n{_HEAD}while n:\n{indent(f'{skip}{loop}{_HEAD}', ' ')}"
        raise ValueError(f"no type of our records: {schema}")

    def skip(self, schema: Any) -> str:
        """Returns code that skips the value at ``at``."""
        if (record := self._record(schema)) is not None:
            return "".join(self.skip(field["type"]) for field in record["fields"])
        match schema:
            case "string" | "bytes":
                return "n = steps[data[at]]\nif n: at += n\nelse: at = leap(data, at)\n"
            case "long":
                return "while data[at] > 127: at += 1\nat += 1\n"
            case {"type": "array", "items": items}:
                left = f"left{next(self._numbers)}"  # what is compiled would heed a change of a range's end
                block = f"{left} = n + 1 >> 1\nif n & 1:\n{indent(_HEAD, ' ')}for _ in range({left}):\n"
                each = indent(self.skip(items), " ")
                return f"{_HEAD}while n:\n{indent(f'{block}{each}{_HEAD}', ' ')}"
        return self.read(schema, "_")

    def record_reader(self, schema: Any) -> str:
        body = self.read(schema, "value")
        return self._define("data, at", f"{self._before}{body}return value, at\n")

    def _read_field(self, name: str, n: int, field: Any) -> str:
        return self.read(field["type"], f"{name}_{n}") if self._is_read(field) else self.skip(field["type"])

    def _is_read(self, field: Any) -> bool:
        return not self._only or field["name"] in self._only

    def _dict_of(self, schema: Any, name: str) -> str:
        """Code of a record's dictionary of the values that were read."""
        fields = [(n, field) for n, field in enumerate(schema["fields"]) if self._is_read(field)]
        places = [f"place{n}" for n, field in enumerate(schema["fields"]) if field["name"] in self._places]
        also = f", 'places': ({', '.join(places)},)" if places else ""
        return "{" + ", ".join(f"{field['name']!r}: {name}_{n}" for n, field in fields) + also + "}"

    def _read_neighbour(self, schema: Any, name: str) -> str:
        """Returns code that reads a record among others of its schema: it compares runs with those before."""
        code = ""
        for group in self._grouped(schema["fields"]):
            first, field = group[0]
            if field["name"] in self._places:
                code += f"place{first} = at\n"
            parts = "".join(self._read_field(name, n, field) for n, field in group)
            if not self._is_run(group):
                code += parts
                continue
            raw, length = f"{name}raw{first}", f"{name}length{first}"
            self._before += f"{raw} = b''\n{length} = 0\n"  # no run was read yet, and each has a byte
            parts = f"begin = at\n{parts}{raw} = data[begin:at]\n{length} = at - begin\n"
            same = f"{length} and data[at:at + {length}] == {raw}"  # half as much as ``startswith``, compiled
            code += f"if {same}: at += {length}\nelse:\n{indent(parts, ' ')}"
        return f"{code}{name} = {self._dict_of(schema, name)}\n"


def writer(schema: Any, runs: Sequence[Run] = (), *, hot: bool = False) -> Write:
    """A function that encodes a record; it raises for values that the schema does not allow."""
    code = _CodeWriter(runs)
    write: Write = code.function(code.bytes_writer(schema), hot=hot)
    return write


def reader(
    schema: Any,
    runs: Sequence[Run] = (),
    only: Collection[str] = (),
    places: Collection[str] = (),
    *,
    hot: bool = False,
) -> Read:
    """(bytes, start of a record) -> the record and its end, which is beyond the bytes if these are cut short.

    The function raises ``ValueError`` or ``IndexError`` for malformed bytes; its cost is linear in the bytes. With
    ``only`` it reads these fields alone, and costs less. Items of a batch with fields of ``places`` get a tuple
    ``places``: where these fields begin in the bytes, in the order of the schema.
    """
    code = _CodeWriter(runs, only, places)
    read: Read = code.function(code.record_reader(schema), hot=hot)
    return read
