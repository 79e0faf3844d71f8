"""A MongoDB query over contacts in, a condition in SQL with bound parameters out; pure.

Operators: `$in $nin $eq $ne $gt $gte $lt $lte $exists $regex $and $or $not`. A field is ``_id``, an identifier
(`email phone external_id anonymous_id`, any of a contact's values counts) or else the path of an attribute. An array
matches through any of its members. A number equals a string of its digits, and true equals the string "true". A name
with dots is an exact name first, then a path.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import orjson

from schemas.errors import ApiError
from schemas.records import identity
from schemas.rules.compare import number_of

MAX_LEAVES = 64
MAX_DEPTH = 8
MAX_VALUES = 10_000
MAX_TEXT = 1_000
_ORDER = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_IDENTIFIERS = {"user_id": identity.EXTERNAL_ID} | {
    kind: kind for kind in (identity.EMAIL, identity.PHONE, identity.EXTERNAL_ID, identity.ANONYMOUS_ID)
}
_OPTIONS = frozenset("ims")


@dataclass(slots=True)
class AudienceQuery:
    """The state of a translation to SQL: its parameters so far, and its bounds."""

    parameters: dict[str, Any] = field(default_factory=dict)
    leaves: int = 0
    regexes: list[str] = field(default_factory=list)

    def bind(self, value: Any, kind: str) -> str:
        name = f"q{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"

    def group(self, value: Any, path: str, depth: int = 0) -> str:
        """Translates an object of conditions, all of which must hold."""
        if not isinstance(value, dict):
            raise ApiError("invalid_field", "a query must be an object", path)
        if depth > MAX_DEPTH:
            raise ApiError("invalid_field", f"nested deeper than {MAX_DEPTH}", path)
        parts = ["1"]
        for name, part in value.items():
            at = f"{path}.{name}"
            if name in ("$and", "$or"):
                if not isinstance(part, list) or not part:
                    raise ApiError("invalid_field", f"{name} takes an array of queries", at)
                some = [self.group(part_rule, f"{at}[{i}]", depth + 1) for i, part_rule in enumerate(part)]
                parts.append(f"({(' AND ' if name == '$and' else ' OR ').join(some)})")
            elif name == "$not":
                parts.append(f"NOT ({self.group(part, at, depth + 1)})")
            elif name[:1] == "$":
                raise ApiError("invalid_field", f"{name} is not a supported operator", at)
            else:
                parts.append(self.conditions(name, part, at, depth))
        return " AND ".join(parts)

    def conditions(self, name: str, value: Any, path: str, depth: int) -> str:
        """Translates the condition of one field: operators, or a value that it equals."""
        if not isinstance(value, dict) or not any(key[:1] == "$" for key in value):
            return self.leaf(name, "$eq", value, path)
        if depth > MAX_DEPTH:
            raise ApiError("invalid_field", f"nested deeper than {MAX_DEPTH}", path)
        parts = []
        for operator, operand in value.items():
            at = f"{path}.{operator}"
            if operator == "$not":
                parts.append(f"NOT ({self.conditions(name, operand, at, depth + 1)})")
            elif operator == "$regex":
                parts.append(self.leaf(name, operator, _regex(operand, value.get("$options", ""), at), at))
            elif operator != "$options":
                parts.append(self.leaf(name, operator, operand, at))
        return " AND ".join(parts) or "1"

    def leaf(self, name: str, operator: str, operand: Any, path: str) -> str:
        self.leaves += 1
        if self.leaves > MAX_LEAVES:
            raise ApiError("invalid_field", f"more than {MAX_LEAVES} conditions", path)
        match operator:
            case "$ne":
                return f"NOT ({self.equals(name, operand, path)})"
            case "$nin":
                return f"NOT ({self.among(name, operand, path)})"
            case "$in":
                return self.among(name, operand, path)
            case "$eq":
                return self.equals(name, operand, path)
            case "$exists":
                if not isinstance(operand, bool):
                    raise ApiError("invalid_field", "$exists takes true or false", path)
                return self.exists(name) if operand else f"NOT ({self.exists(name)})"
            case "$regex":
                bound = self.bind(operand, "String")
                self.regexes.append(f"match('', {bound})")
                return self.texts(name, lambda value: f"match({value}, {bound})")
        if operator not in _ORDER:
            raise ApiError("invalid_field", f"{operator[:80]} is not a supported operator", path)
        return self.compares(name, _ORDER[operator], operand, path)

    def equals(self, name: str, operand: Any, path: str) -> str:
        if operand is None:
            return f"NOT ({self.exists(name)})"
        return self.among(name, [operand], path)

    def among(self, name: str, operands: Any, path: str) -> str:
        if not isinstance(operands, list) or len(operands) > MAX_VALUES:
            raise ApiError("invalid_field", f"an array of at most {MAX_VALUES} values is needed", path)
        texts, numbers, truths = [], [], []
        for index, value in enumerate(operands):
            if isinstance(value, bool):
                truths.append(value)
                texts.append("true" if value else "false")
            elif isinstance(value, str):
                texts.append(_normal(name, value))
                number = number_of(value)
                numbers += [] if number is None else [float(number)]
                truths += [value == "true"] if value in ("true", "false") else []
            elif isinstance(value, int | float) and math.isfinite(value):
                numbers.append(float(value))
                texts.append(orjson.dumps(value).decode())
            elif value is not None or len(operands) == 1:
                raise ApiError(
                    "invalid_field", "a value must be a string, a number or a truth value", f"{path}[{index}]"
                )
        parts = ["0"] + ([f"NOT ({self.exists(name)})"] if None in operands else [])
        if texts:
            bound = self.bind(texts, "Array(String)")
            parts.append(self.texts(name, lambda value: f"has({bound}, {value})"))
        if not self.is_column(name):
            parts += self.plain(name, numbers, truths)
        return f"({' OR '.join(parts)})"

    def plain(self, name: str, numbers: list[float], truths: list[bool]) -> list[str]:
        """Tests numeric and boolean attributes, and arrays of numbers."""
        at, parts = self.place(name), []
        if numbers:
            bound = self.bind(numbers, "Array(Float64)")
            kinds = "('Int64', 'UInt64', 'Double')"
            parts.append(f"(toString(JSONType({at})) IN {kinds} AND has({bound}, JSONExtractFloat({at})))")
            parts.append(f"hasAny({bound}, JSONExtract({at}, 'Array(Float64)'))")
        if truths:
            bound = self.bind([int(truth) for truth in truths], "Array(UInt8)")
            parts.append(f"(toString(JSONType({at})) = 'Bool' AND has({bound}, toUInt8(JSONExtractBool({at}))))")
        return parts

    def compares(self, name: str, sign: str, operand: Any, path: str) -> str:
        if isinstance(operand, str):
            bound = self.bind(operand, "String")
            return self.texts(name, lambda value: f"{value} {sign} {bound}")
        if isinstance(operand, bool) or not isinstance(operand, int | float) or not math.isfinite(operand):
            raise ApiError("invalid_field", "a string or a number is needed", path)
        if self.is_column(name):
            raise ApiError("invalid_field", f"{name} is a string", path)
        at = self.place(name)
        kinds = "('Int64', 'UInt64', 'Double')"
        bound = self.bind(float(operand), "Float64")
        return f"(toString(JSONType({at})) IN {kinds} AND JSONExtractFloat({at}) {sign} {bound})"

    def exists(self, name: str) -> str:
        if self.is_column(name):
            return self.texts(name, lambda _: "1")
        at = self.place(name)
        return f"(toString(JSONType({at})) != 'Null')"

    def texts(self, name: str, meets: Any) -> str:
        """Tests whether a field, or a member of its array, is a string that meets a condition."""
        if name == "_id":
            return f"({meets('contact_id')})"
        if name in _IDENTIFIERS:
            kind = self.bind(_IDENTIFIERS[name], "String")
            return f"arrayExists(i -> i.1 = {kind} AND {meets('i.2')}, identifiers)"
        at = self.place(name)
        alone = f"(toString(JSONType({at})) = 'String' AND {meets(f'JSONExtractString({at})')})"
        return f"({alone} OR arrayExists(v -> {meets('v')}, JSONExtract({at}, 'Array(String)')))"

    def is_column(self, name: str) -> bool:
        return name == "_id" or name in _IDENTIFIERS

    def place(self, name: str) -> str:
        """The SQL arguments that lead JSON functions to an attribute."""
        whole = name[:MAX_TEXT]
        path = ", ".join(["attributes", *(self.bind(part, "String") for part in whole.split(".")[:16])])
        if "." not in whole:
            return path
        exact = f"attributes, {self.bind(whole, 'String')}"
        return f"if(JSONType({exact}) != 'Null', JSONExtractRaw({exact}), JSONExtractRaw({path}))"


def _normal(name: str, value: str) -> str:
    kind = _IDENTIFIERS.get(name)
    return value if kind is None else identity.normalise(kind, value) or value


def _regex(value: Any, options: Any, path: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ApiError("invalid_field", f"a regular expression of at most {MAX_TEXT} characters is needed", path)
    if not isinstance(options, str) or not set(options) <= _OPTIONS:
        raise ApiError("invalid_field", "$options may contain i, m and s", path)
    # MongoDB's dot stops at a line end; RE2's dot, as ClickHouse sets it, does not
    flags = "".join(sorted(options)) + ("" if "s" in options else "-s")
    return f"(?{flags}){value}"
