"""Columns and their first values in; the field of each column, and rows in the API's form, out; pure.

Names match without case, spaces and signs. Every other column is an attribute of a contact or a property of an event. A
column holds numbers, booleans or JSON only if all of its first values do, and only if no number loses digits: 007 and
+49 stay text.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

CONTACTS, EVENTS = "contacts", "events"
IDENTIFIERS = ("external_id", "email", "phone", "anonymous_id")
_COMMON = {
    "external_id": "externalid userid customerid customernumber uid distinctid memberid accountid",
    "email": "email emailaddress mail mailaddress primaryemail",
    "phone": "phone phonenumber mobile mobilephone mobilenumber telephone tel cell cellphone msisdn",
    "anonymous_id": "anonymousid visitorid cookieid clientid",
    "event_id": "eventid messageid uuid insertid",
}
_NAMES = {
    CONTACTS: _COMMON | {"id": "contactid", "timestamp": "timestamp updatedat lastmodified modifiedat"},
    EVENTS: _COMMON
    | {
        "contact_id": "contactid",
        "device_id": "deviceid",
        "type": "type event eventtype eventname",
        "timestamp": "timestamp time date datetime eventtime occurredat createdat originaltimestamp",
        "campaign_id": "campaignid",
        "variant": "variant",
        "channel": "channel",
    },
}
FIELDS = {CONTACTS: (*_NAMES[CONTACTS], "user_id"), EVENTS: (*_NAMES[EVENTS], "user_id", "message_id")}
NESTED = {CONTACTS: ("attributes", "consents"), EVENTS: ("properties", "context", "consents")}
"""Objects of the API; a column becomes one of their entries as ``attributes.plan``."""
WHOLE = {CONTACTS: ("devices",), EVENTS: ()}
IGNORED = ""
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")
_YES = {"true": True, "yes": True, "y": True, "1": True, "on": True, "subscribed": True}
_NO = {"false": False, "no": False, "n": False, "0": False, "off": False, "unsubscribed": False}
_CONSENT = re.compile(r"^(consent|consents|optin)[ ._-]+(.+)$", re.IGNORECASE)


class MappingError(ValueError):
    """An impossible mapping; the text names the necessary change."""


@dataclass(frozen=True, slots=True)
class ImportColumn:
    """``target`` is a field of the API, ``attributes.NAME`` or its like; empty for an omitted column."""

    name: str
    target: str
    form: str
    """text, number, flag, json or as it is."""
    example: Any


def guess(
    kind: str,
    columns: Sequence[str],
    samples: Iterable[Any],
    *,
    is_text: bool,
    chosen: Mapping[str, str],
    ignored: Iterable[str] = (),
    text: Iterable[str] = (),
) -> list[ImportColumn]:
    """``chosen``: column by field; ``samples``: values in the order of the columns. Raises ``MappingError``."""
    ignored, text = set(ignored), set(text)
    _check_known(columns, [*chosen.values(), *ignored, *text])
    for target in chosen:
        _check_target(kind, target)
    by_column = {column: target for target, column in chosen.items()}
    taken = set(chosen) | ({"external_id"} if "user_id" in chosen else set())
    values: list[list[Any]] = [[] for _ in columns]
    for sample in samples:
        for at, value in enumerate(sample):
            if value not in (None, ""):
                values[at].append(value)
    columns_of = []
    for at, name in enumerate(columns):
        target = by_column.get(name) or (IGNORED if name in ignored else _guessed(kind, name, taken, is_text=is_text))
        taken.add(target)
        form = "text" if name in text else _form(target, values[at], is_text=is_text)
        columns_of.append(ImportColumn(name, target, form, values[at][0] if values[at] else None))
    return columns_of


def _check_known(columns: Sequence[str], named: Iterable[str]) -> None:
    for name in named:
        if name not in columns:
            raise MappingError(f"there is no column {name!r}; there are: {', '.join(columns)}")


def _check_target(kind: str, target: str) -> None:
    place, dot, rest = target.partition(".")
    if not (target in FIELDS[kind] or (dot and rest and place in NESTED[kind])):
        nested = ", ".join(f"{name}.NAME" for name in NESTED[kind])
        raise MappingError(f"{target!r} is no field of {kind}; there are: {', '.join(FIELDS[kind])}, {nested}")


def _guessed(kind: str, name: str, taken: set[str], *, is_text: bool) -> str:
    place, dot, rest = name.partition(".")
    if name in NESTED[kind] or (dot and rest and place in NESTED[kind]):
        return name
    if not is_text and name in (*FIELDS[kind], *WHOLE[kind]):
        return name
    folded = re.sub(r"[^a-z0-9]", "", name.lower())
    for target, words in _NAMES[kind].items():
        if folded in words.split() and target not in taken:
            return target
    consent = _CONSENT.match(name)
    if consent:
        return f"consents.{consent[2]}"
    return f"{NESTED[kind][0]}.{name}"


def _form(target: str, values: Sequence[Any], *, is_text: bool) -> str:
    place = target.partition(".")[0]
    if not is_text or not target:
        return "as it is" if not is_text else "text"
    if target in (*NESTED[CONTACTS], *NESTED[EVENTS]):
        return "json"
    if place == "consents":
        return "flag"
    if target == "timestamp":
        return "number" if values and all(_NUMBER.fullmatch(v) for v in values) else "text"
    if "." not in target or not values:
        return "text"
    if all(_NUMBER.fullmatch(v) for v in values):
        return "number"
    if all(v.lower() in ("true", "false") for v in values):
        return "flag"
    if all(v[0] in "{[" and _is_json(v) for v in values):
        return "json"
    return "text"


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _number(text: str) -> Any:
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def _flag(text: str) -> Any:
    folded = text.strip().lower()
    return _YES.get(folded, _NO.get(folded, text))


def _json(text: str) -> Any:
    return orjson.loads(text) if _is_json(text) else text


_FORMS: dict[str, Callable[[str], Any]] = {"number": _number, "flag": _flag, "json": _json}


class Mapper:
    """Converts rows to the API's form; prepared once for all rows of a file."""

    def __init__(self, kind: str, columns: Sequence[ImportColumn], constants: Mapping[str, Any]) -> None:
        """``constants`` are defaults for all rows. Raises ``MappingError``."""
        targets = {column.target for column in columns} | set(constants)
        if kind == EVENTS and "type" not in targets:
            raise MappingError("no column is the event's type: --type order_completed, or --map type=COLUMN")
        names = ("user_id", "id", "contact_id", "device_id", *IDENTIFIERS)
        if not targets & set(names):
            raise MappingError(f"no column identifies the contact ({', '.join(IDENTIFIERS)}): --map email=COLUMN")
        self._constants = dict(constants)
        steps = []
        for at, column in enumerate(columns):
            if column.target:
                place, dot, rest = column.target.partition(".")
                steps.append((at, column.name, place, rest if dot else "", _FORMS.get(column.form)))
        self._steps = steps
        self._known = {column.name for column in columns}
        self._rest = NESTED[kind][0]

    def of_list(self, values: Sequence[str]) -> dict[str, Any]:
        """Converts a row of a CSV file; an empty field counts as missing."""
        row = dict(self._constants)
        for at, _, place, rest, form in self._steps:
            text = values[at]
            if not text:
                continue
            value = text if form is None else form(text)
            if rest:
                _entry(row, place)[rest] = value
            elif isinstance(value, dict):
                row[place] = {**value, **_entry(row, place)}
            else:
                row[place] = value
        return row

    def of_object(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Converts a row of NDJSON; a name outside the first rows is an attribute or a property."""
        row = dict(self._constants)
        for _, name, place, rest, _ in self._steps:
            if name not in values:
                continue
            if rest:
                _entry(row, place)[rest] = values[name]
            elif place in row and isinstance(row[place], dict) and isinstance(values[name], dict):
                row[place] = row[place] | values[name]
            else:
                row[place] = values[name]
        for name in values.keys() - self._known:
            _entry(row, self._rest)[name] = values[name]
        return row


def _entry(row: dict[str, Any], place: str) -> dict[str, Any]:
    """Returns the row's object for an entry; if the row has another type there, the API refuses the row."""
    entries = row.setdefault(place, {})
    return entries if isinstance(entries, dict) else {}
