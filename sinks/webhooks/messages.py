"""Events and changes, and the notification state of their contacts in; messages for subscribers out; pure.

1. A message's id follows from its cause, so a repeated cause gives the same message.
2. A snapshot states values, not changes: ``contact.updated`` follows from a snapshot that differs from the previous
   one, ``contact.unsubscribed`` from one in which a consent became false.
3. A repeated membership is no message: after a crash the segments stage repeats outputs that it may have sent.
4. The highest version of a contact or membership wins, as in the tables. An older change that comes late, from a paused
   worker or from before a crash, is no message. A change of the same moment has another version.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from schemas.control import static_segments
from schemas.limits import NOTIFICATIONS
from schemas.records.deliveries import fingerprint
from schemas.records.records import CARRIED, RESTATED, TRACK, Change, Event
from schemas.records.sameness import event_key
from schemas.times import iso
from sinks.webhooks.notification_state import NotificationState, version_of, version_row

log = logging.getLogger(__name__)

CREATED, UPDATED, MERGED, UNSUBSCRIBED, ENTERED, LEFT = NOTIFICATIONS
OURS: Final = frozenset(NOTIFICATIONS)
"""Types that no client's event can take."""
MESSAGE_UNSUBSCRIBED: Final = "message.unsubscribed"
MESSAGE_KINDS: Final = frozenset(("membership", "profile"))
"""Kinds of changes that messages are made of."""
IDENTIFIERS: Final = ("external_id", "email", "phone")
"""Those that a message names its contact by: one of each, so they are bounded."""
_TIMES: Final = ("created_ms", "updated_ms")
_GONE: Final = b"\xff"
_DIGEST: Final = 16
"""Bytes of a digest in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """``id`` is the body's id, the same for every endpoint."""

    id: str
    type: str
    workspace: str
    environment: str
    contact_id: str
    at_ms: int
    data: dict[str, Any]
    cause: str = ""
    """The message's identity where ``id`` alone is not unique, because a client chose it."""
    campaign_id: str = ""
    key_id: str = ""

    def body(self) -> bytes:
        """The request's body; the bytes that are signed."""
        return orjson.dumps({"id": self.id, "type": self.type, "created_at": iso(self.at_ms), "data": self.data})


Profile = dict[str, Any]
"""A profile change's snapshot."""


def learn_identifiers(change: Change, state: NotificationState) -> Profile | None:
    """Keeps the identifiers of a contact's messages from its profile; returns that profile, for ``of_change``."""
    if change["kind"] != "profile" or change.get("merged_into"):
        return None
    profile: Profile = orjson.loads(change["profile"] or b"{}")
    # no read before the write: rewriting an equal row costs less than reading it
    state.writes[b"i/" + change["contact_id"].encode()] = _identifiers_row(profile)
    return profile


def _identifiers_row(profile: Profile) -> bytes:
    get = profile.get
    return orjson.dumps({name: get(name) or None for name in IDENTIFIERS})


def identifiers_of(contact_id: str, state: NotificationState) -> dict[str, str | None]:
    """The contact's own identifiers; ``None`` for each that the contact lacks or whose profile has not arrived."""
    row = None
    if contact_id:
        _read_profile(contact_id, state)
        row = state.read(b"i/" + contact_id.encode())
    identifiers: dict[str, str | None] = dict.fromkeys(IDENTIFIERS) if row is None else orjson.loads(row)
    return identifiers


def of_event(event: Event) -> list[Message]:
    """Returns a tracked event's messages: none for a copy, an additional one for an unsubscribe event."""
    if event["kind"] != TRACK or event["type"] in OURS or event.get("repeat"):
        return []
    message = Message(
        id=event["event_id"],
        type=event["type"],
        workspace=event["workspace"],
        environment=event["environment"],
        contact_id=event["contact_id"],
        at_ms=event["received_ms"],
        data=_event_data(event),
        cause=event_key(event),
        campaign_id=event["campaign_id"],
        key_id=event["key_id"],
    )
    if event["type"] != MESSAGE_UNSUBSCRIBED or b'"consents"' in event["profile"]:
        return [message]  # if it ends a consent, the contact's change makes the message
    return [message, _same_as(message, UNSUBSCRIBED)]


def _same_as(message: Message, kind: str) -> Message:
    return Message(
        id=_id(kind, message.workspace, message.environment, message.cause),
        type=kind,
        workspace=message.workspace,
        environment=message.environment,
        contact_id=message.contact_id,
        at_ms=message.at_ms,
        data=message.data,
    )


def _event_data(event: Event) -> dict[str, Any]:
    named = ("contact_id", "campaign_id", "message_id", "variant", "channel")
    data: dict[str, Any] = {name: event[name] for name in named if event[name]}  # type: ignore[literal-required]
    group, _, verb = event["type"].partition(".")
    if group == "message" and verb:
        data[f"{verb}_at"] = iso(event["timestamp_ms"])
    data["event_id"] = event["event_id"]
    data["timestamp"] = iso(event["timestamp_ms"])
    data["properties"] = orjson.Fragment(event["properties"] or b"{}")  # in the original form: numbers keep all digits
    return data


def of_change(
    change: Change, state: NotificationState, complete_since_ms: int, *, profile: Profile | None = None
) -> list[Message]:
    """Applies the change to ``state``, which holds all changes since ``complete_since_ms``; returns its messages.

    ``profile`` is the change's profile, if already read.
    """
    if change["kind"] == "membership":
        return _membership(change, state, complete_since_ms)
    if change["kind"] != "profile":
        return []
    _read_profile(change["contact_id"], state)
    is_newest = _note_version(change["contact_id"], change["version"], state)
    if not is_newest:
        return []
    if change.get("merged_into"):
        return _merge(change, state)
    if profile is None:
        profile = orjson.loads(change["profile"] or b"{}")
    return _snapshot(change, profile, state, complete_since_ms)


def _read_profile(contact_id: str, state: NotificationState) -> None:
    """Makes the rows of a contact whose last profile was kept unread; an unusable profile leaves earlier rows."""
    unread = state.take_unread(contact_id)
    if unread is None:
        return
    is_newest = _note_version(contact_id, unread.version, state)
    if not is_newest:
        return
    key = contact_id.encode()
    if unread.is_merged:
        state.writes[b"c/" + key] = _GONE
    try:
        profile: Profile = orjson.loads(unread.profile or b"{}")
        identifiers, snapshot = _identifiers_row(profile), _snapshot_row(profile, _refused(profile))
    except (ValueError, TypeError, AttributeError) as error:
        log.error("the last profile of contact %s cannot be read: %r", contact_id, error)  # noqa: TRY400 - one line
        return
    if not unread.is_merged:
        state.writes[b"c/" + key] = snapshot
    if unread.profile:
        state.writes.setdefault(b"i/" + key, identifiers)  # one of this step is newer


def _note_version(contact_id: str, version: int, state: NotificationState) -> bool:
    """Notes a profile's version; returns ``False`` if a newer one came before."""
    key = b"v/" + contact_id.encode()
    newest = state.read(key)
    if newest is not None and version < version_of(newest):
        return False
    state.writes[key] = version_row(version)
    return True


def _membership(change: Change, state: NotificationState, complete_since_ms: int) -> list[Message]:
    segment, member = change["segment_id"], change["member"]
    key = f"m/{change['contact_id']}/{segment}".encode()
    before = state.read(key)
    if before is not None and change["version"] <= _membership_version(before):
        return []
    is_member = b"\x01" if member else b"\x00"
    state.writes[key] = is_member + version_row(change["version"])
    if before is not None and before[:1] == is_member:
        return []
    if before is None and change["reason"] == RESTATED and not (member and change["at_ms"] >= complete_since_ms):
        return []  # skip exits that were never announced, and entries older than the retained state
    if change["reason"] == CARRIED:
        return []  # the person was a member before the merge and still is
    data = {
        "contact_id": change["contact_id"],
        "segment_id": segment,
        "segment_version": change["segment_version"],
        "reason": change["reason"],
        "at": iso(change["at_ms"]),
    }
    if change["event_id"]:
        data["event_id"] = change["event_id"]
    cause = (change["contact_id"], segment, str(int(member)), str(change["at_ms"]), str(change["version"]))
    return [_message(change, ENTERED if member else LEFT, cause, data)]


def _membership_version(row: bytes) -> int:
    """The version of a row; an older form of row has none, so every change is newer."""
    return version_of(row[1:]) if len(row) > 1 else -1


def _merge(change: Change, state: NotificationState) -> list[Message]:
    key = b"c/" + change["contact_id"].encode()
    before = state.read(key)
    state.writes[key] = _GONE
    if before is None or before == _GONE:
        return []  # no message announced the contact: an identifier joined another contact
    data = {"contact_id": change["merged_into"], "merged_contact_id": change["contact_id"]}
    if change.get("event_id"):
        data["event_id"] = change["event_id"]
    return [_message(change, MERGED, (change["contact_id"], change["merged_into"], str(change["version"])), data)]


def _refused(profile: Profile) -> list[str]:
    consents = profile.get("consents") or {}
    return sorted([name for name, given in consents.items() if given is False])


def _snapshot_row(profile: Profile, refused: list[str]) -> bytes:
    return _digest(profile) + "\0".join(refused).encode()


def _snapshot(change: Change, profile: Profile, state: NotificationState, complete_since_ms: int) -> list[Message]:
    refused = _refused(profile)
    row = _snapshot_row(profile, refused)
    key = b"c/" + change["contact_id"].encode()
    before = state.read(key)
    if before == row:
        return []
    state.writes[key] = row
    data = {"contact_id": change["contact_id"], "contact": _shown(change["contact_id"], profile)}
    cause = (change["contact_id"], str(change["version"]))
    if before is None or before == _GONE:
        is_new = before == _GONE or profile.get("created_ms", 0) >= complete_since_ms
        messages = [_message(change, CREATED if is_new else UPDATED, cause, data)]
        news = refused if is_new else []
    else:
        messages = [_message(change, UPDATED, cause, data)]
        already = set(before[_DIGEST:].decode().split("\0"))
        news = [name for name in refused if name not in already]
    if news:
        messages.append(_message(change, UNSUBSCRIBED, cause, {**data, "consents": news}))
    return messages


def _digest(profile: Mapping[str, Any]) -> bytes:
    visible = {**profile, "attributes": static_segments.without(profile.get("attributes") or {})}
    for name in _TIMES:
        visible.pop(name, None)
    return blake2b(orjson.dumps(visible, option=orjson.OPT_SORT_KEYS), digest_size=_DIGEST).digest()


def _shown(contact_id: str, profile: Mapping[str, Any]) -> dict[str, Any]:
    named = ("email", "phone", "external_id", "anonymous_ids", "consents")
    return {
        "id": contact_id,
        **{name: profile.get(name) for name in named},
        "attributes": static_segments.without(profile.get("attributes") or {}),
        "created_at": iso(profile.get("created_ms", 0)),
        "updated_at": iso(profile.get("updated_ms", 0)),
    }


def _id(kind: str, *cause: str) -> str:
    return f"evt_{fingerprint(kind, *cause)}"


def _message(change: Change, kind: str, cause: tuple[str, ...], data: dict[str, Any]) -> Message:
    return Message(
        id=_id(kind, change["workspace"], change["environment"], *cause),
        type=kind,
        workspace=change["workspace"],
        environment=change["environment"],
        contact_id=change["contact_id"],
        at_ms=change["at_ms"],
        data=data,
    )
