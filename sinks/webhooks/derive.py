"""Decoded records in; the messages that endpoints may receive from them, and the state of notifications, out; pure.

An unusable item costs only itself: ClickHouse or quarantine has it. A profile of an environment without an endpoint is
kept unread, so one that is unusable costs the profile before it too.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from schemas.control.control_state import ControlState
from schemas.records.records import Change, Event
from sinks.webhooks.messages import MESSAGE_KINDS, Message, learn_identifiers, of_change, of_event
from sinks.webhooks.notification_state import NotificationState
from sinks.webhooks.subscriptions import has_endpoint_in, named

log = logging.getLogger(__name__)
T = TypeVar("T")


def messages_of_changes(
    control: ControlState, changes: Sequence[Change], state: NotificationState, complete_since_ms: int
) -> list[Message]:
    """``state`` holds all changes since ``complete_since_ms``."""
    return named(control, _of_changes(control, changes, state, complete_since_ms), state)


def _of_changes(
    control: ControlState, changes: Sequence[Change], state: NotificationState, complete_since_ms: int
) -> Iterator[Message]:
    kept = [c for c in changes if c["kind"] in MESSAGE_KINDS and not control.erased.covers(c)]
    # all profiles before the first message: a membership may precede its contact's profile
    read = []
    for change in kept:
        has_endpoint = has_endpoint_in(control, change["workspace"], change["environment"])
        if change["kind"] == "profile" and not has_endpoint:
            _skip_unusable(state.keep_unread, change)
        else:
            read.append((change, has_endpoint, _skip_unusable(learn_identifiers, change, state)))
    for change, has_endpoint, profile in read:
        messages = _skip_unusable(of_change, change, state, complete_since_ms, profile=profile)
        if has_endpoint:
            yield from messages or ()


def messages_of_events(control: ControlState, events: Sequence[Event], state: NotificationState) -> list[Message]:
    messages = (
        message
        for event in events
        if has_endpoint_in(control, event["workspace"], event["environment"]) and not control.erased.covers(event)
        for message in _skip_unusable(of_event, event) or ()
    )
    return named(control, messages, state)


def _skip_unusable(read: Callable[..., T | None], datum: Any, *more: Any, **how: Any) -> T | None:
    try:
        return read(datum, *more, **how)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        log.error("dropping webhooks for a %s of contact %s: %r", datum["kind"], datum["contact_id"], error)  # noqa: TRY400 - one line
        return None
