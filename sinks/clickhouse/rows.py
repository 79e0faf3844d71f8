"""Records with their place in Kafka in; columns of ClickHouse tables, as the driver takes them, out; pure.

Times are epoch milliseconds, the unit of DateTime64(3), and JSON stays the bytes that it came as.

A profile snapshot (``Change.profile``) is a JSON object with any of ``email``, ``phone``, ``external_id`` (the one to
show), ``identifiers`` (``[{"type","value"}]``, all of them, strongest first), ``attributes``, ``consents``,
``devices``, ``created_ms`` and ``updated_ms``. A contact that merged into another has an empty one. In a refused
link it is the identifier on the other side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import orjson

from schemas.records import identity
from schemas.records.records import Change, Identifier
from schemas.records.sameness import CHANGED, SENDER_LENGTH

Columns = list[list[Any]]


class Item:
    """A datum and its place: topic partition, record's offset, index in the record. Compiled, named tuples are slow."""

    __slots__ = ("datum", "nth", "offset", "partition")

    def __init__(self, partition: int, offset: int, nth: int, datum: Any) -> None:
        self.partition = partition
        self.offset = offset
        self.nth = nth
        self.datum = datum


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``columns_of`` gives the values of ``columns``; the table's place columns are added by ``fill``."""

    name: str
    columns: tuple[str, ...]
    columns_of: Callable[[list[Any]], Columns]
    views: tuple[str, ...] = ()
    """Tables that a materialized view fills from this one: a crash may have left them behind it."""


PLACE: Final = ("_topic", "_partition", "_offset", "_index")


class UnusableError(ValueError):
    """A datum of which no row can be made."""


def fill(table: Table, topic: str, items: list[Item]) -> Columns:
    """All columns of a block, place columns last; raises ``UnusableError``."""
    columns = table.columns_of([item.datum for item in items])
    columns.append([topic] * len(items))
    columns.append([item.partition for item in items])
    return [*columns, [item.offset for item in items], [item.nth for item in items]]


def _plain(**fields: str) -> tuple[tuple[str, ...], Callable[[list[Any]], Columns]]:
    """Maps columns to unchanged fields of the datum, as ``column=field``."""
    values_of = itemgetter(*fields.values())

    def columns_of(data: list[Any]) -> Columns:
        return list(map(list, zip(*map(values_of, data), strict=True)))

    return tuple(fields), columns_of


_event = _plain(
    workspace="workspace",
    environment="environment",
    event_id="event_id",
    contact_id="contact_id",
    type="type",
    timestamp="timestamp_ms",
    received_at="received_ms",
    properties="properties",
    campaign_id="campaign_id",
    message_id="message_id",
    variant="variant",
    channel="channel",
    context="context",
    source="source",
    identifiers="identifiers",
    _kind="kind",
    _profile="profile",
    _key_id="key_id",
    _task_id="task_id",
    _origin_partition="origin_partition",
    _origin_offset="origin_offset",
    _origin_index="origin_index",
)


def _senders(events: list[Any]) -> list[str]:
    """Returns the events' own contact ids: those that are sorted as a stream have them already."""
    return [e["own_contact_id"] if "own_contact_id" in e else identity.own_contact_id(e) for e in events]


def _event_columns(events: list[Any]) -> Columns:
    senders = _senders(events)
    return [*_event[1](events), senders, [sender[-SENDER_LENGTH:] for sender in senders]]


EVENTS: Final = Table(name="events", columns=(*_event[0], "own_contact_id", "_sender"), columns_of=_event_columns)

_duplicate = _plain(
    workspace="workspace",
    environment="environment",
    event_id="event_id",
    type="type",
    received_at="received_ms",
    source="source",
    _key_id="key_id",
    _task_id="task_id",
    _origin_partition="origin_partition",
    _origin_offset="origin_offset",
    _origin_index="origin_index",
)


def _duplicate_columns(events: list[Any]) -> Columns:
    return [*_duplicate[1](events), _senders(events), [event.get("repeat") == CHANGED for event in events]]


DUPLICATES: Final = Table(
    name="duplicates",
    columns=(*_duplicate[0], "own_contact_id", "event_id_conflict"),
    columns_of=_duplicate_columns,
)


def _override(merges: list[Any]) -> Columns:
    columns = [[m[name] for m in merges] for name in ("workspace", "environment", "loser", "winner", "version")]
    columns.append([m["identifier"]["type"] for m in merges])
    columns.append([m["identifier"]["value"] for m in merges])
    columns.append([m["event_id"] for m in merges])
    columns.append([m["at_ms"] for m in merges])
    return columns


OVERRIDES: Final = Table(
    name="contact_overrides",
    columns=(
        *("workspace", "environment", "loser", "winner", "version"),
        *("identifier_type", "identifier_value", "event_id", "at"),
    ),
    columns_of=_override,
    views=("contact_merges",),
)


def _refused(changes: list[Change]) -> Columns:
    names = ("workspace", "environment", "contact_id", "reason", "event_id", "at_ms")
    columns: Columns = [[c[name] for c in changes] for name in names]  # type: ignore[literal-required]
    far = [_identifiers([_profile(c)])[0] for c in changes]
    return [*columns, [i["type"] for i in far], [i["value"] for i in far]]


REFUSED_LINKS: Final = Table(
    name="refused_links",
    columns=("workspace", "environment", "contact_id", "reason", "event_id", "at", "type", "value"),
    columns_of=_refused,
)

_change = _plain(
    workspace="workspace",
    environment="environment",
    segment_id="segment_id",
    contact_id="contact_id",
    member="member",
    at="at_ms",
    segment_version="segment_version",
    reason="reason",
    event_id="event_id",
    version="version",
)
MEMBERSHIP_CHANGES: Final = Table(
    name="membership_changes",
    columns=_change[0],
    columns_of=_change[1],
    views=("memberships", "contact_memberships"),
)

_quarantined = _plain(
    topic="topic",
    partition="partition",
    offset="offset",
    index="index",
    workspace="workspace",
    event_id="event_id",
    reason="reason",
    detail="detail",
    at="at_ms",
    key="key",
    payload="payload",
)
QUARANTINE: Final = Table(name="quarantine", columns=_quarantined[0], columns_of=_quarantined[1])

_attempt = _plain(
    workspace="workspace",
    environment="environment",
    webhook_id="webhook_id",
    attempt_id="id",
    delivery_id="delivery_id",
    contact_id="contact_id",
    event_id="event_id",
    type="type",
    attempt="attempt",
    status="status",
    url="url",
    response_code="response_code",
    error="error",
    duration_ms="duration_ms",
    at="at_ms",
    next_attempt_at="next_ms",
    request_headers="request_headers",
    request_body="request_body",
    response_body="response_body",
)
DELIVERY_ATTEMPTS: Final = Table(name="delivery_attempts", columns=_attempt[0], columns_of=_attempt[1])


def _contact(changes: list[Change]) -> Columns:
    rows = [_contact_row(change) for change in changes]
    return [list(column) for column in zip(*rows, strict=True)]


def _contact_row(change: Change) -> tuple[Any, ...]:
    profile = _profile(change)
    identifiers = _identifiers(profile.get("identifiers", []))
    return (
        change["workspace"],
        change["environment"],
        change["contact_id"],
        _shown(profile, identity.EMAIL, identifiers),
        _shown(profile, identity.PHONE, identifiers),
        _shown(profile, identity.EXTERNAL_ID, identifiers),
        [i["value"] for i in identifiers if i["type"] == identity.ANONYMOUS_ID],
        identifiers,
        orjson.dumps(_typed(profile, "attributes", {})),
        orjson.dumps(_typed(profile, "consents", {})),
        orjson.dumps(_typed(profile, "devices", [])),
        change.get("merged_into", ""),
        _typed(profile, "created_ms", change["at_ms"]),
        _typed(profile, "updated_ms", change["at_ms"]),
        change["version"],
    )


CONTACTS: Final = Table(
    name="contacts",
    columns=(
        *("workspace", "environment", "contact_id", "email", "phone", "external_id", "anonymous_ids", "identifiers"),
        *("attributes", "consents", "devices", "merged_into", "created_at", "updated_at", "version"),
    ),
    columns_of=_contact,
)


def _profile(change: Change) -> dict[str, Any]:
    raw = change.get("profile") or b"{}"
    try:
        profile = orjson.loads(raw)
    except ValueError as error:
        raise UnusableError(f"profile is not JSON: {error}") from error
    if not isinstance(profile, dict):
        raise UnusableError("profile is not a JSON object")
    return profile


def _typed(profile: dict[str, Any], name: str, default: Any) -> Any:
    value = profile.get(name, default)
    if type(value) is not type(default):
        raise UnusableError(f"profile.{name} is a {type(value).__name__}")
    return value


def _identifiers(values: Any) -> list[Identifier]:
    try:
        identifiers: list[Identifier] = [{"type": v["type"], "value": v["value"]} for v in values]
    except (TypeError, KeyError) as error:
        raise UnusableError(f"profile.identifiers: {error!r}") from error
    if [i for i in identifiers if not (isinstance(i["type"], str) and isinstance(i["value"], str))]:
        raise UnusableError("profile.identifiers: not all are text")
    return identifiers


def _shown(profile: dict[str, Any], kind: str, identifiers: list[Identifier]) -> str:
    if profile.get(kind) is not None:
        return str(_typed(profile, kind, ""))
    for identifier in identifiers:
        if identifier["type"] == kind:
            return identifier["value"]
    return ""
