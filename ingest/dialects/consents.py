"""The consent fields of calls in, consents by name out; pure.

A call that gives or withdraws a consent does so at its time, and is kept (``consents`` of a profile). A page that
sends its present consents with each event mostly repeats itself (``consent_state``): only a change is kept.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.errors import ApiError
from schemas.limits import MOST_CONSENTS as MOST

Consents = dict[str, bool | None]


def given(value: Mapping[str, Any], name: str = "consents") -> Consents:
    """A field that holds consents, each true, false, or null to forget it; raises ``ApiError`` (422)."""
    consents = value.get(name)
    if consents is None or consents == []:  # as PHP writes an empty object
        return {}
    if not isinstance(consents, dict):
        raise ApiError("invalid_field", f"{name} must be an object of true, false and null", name)
    if len(consents) > MOST:
        raise ApiError("invalid_field", f"{name} has more than {MOST} names", name)
    for consent, state in consents.items():
        if state is not None and not isinstance(state, bool):
            place = f"{name}.{consent[:80]}"
            raise ApiError("invalid_field", f"{place} must be true, false or null", place)
    return consents


def held(context: Mapping[str, Any]) -> Consents:
    """Reads the consents of Segment's ``consent`` and RudderStack's ``consentManagement``; ignores other values."""
    consents: Consents = dict(_held(context))
    return dict(list(consents.items())[:MOST])


def _held(context: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    consent = context.get("consent")
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    if isinstance(preferences, dict):
        yield from ((name, state) for name, state in preferences.items() if isinstance(state, bool))
    managed = context.get("consentManagement")
    if isinstance(managed, dict):
        for field, state in (("allowedConsentIds", True), ("deniedConsentIds", False)):
            names = managed.get(field)
            yield from ((name, state) for name in (names if isinstance(names, list) else ()) if isinstance(name, str))


def subscribed(subscriptions: Any) -> Consents:
    """Reads a consent to each channel's marketing from Altcraft's subscriptions: given if one of them is active."""
    consents: Consents = {}
    for subscription in subscriptions if isinstance(subscriptions, list) else [subscriptions]:
        if isinstance(subscription, dict) and isinstance(channel := subscription.get("channel"), str) and channel:
            name = f"{channel.lower()[:64]}_marketing"
            consents[name] = bool(consents.get(name)) or subscription.get("status", "subscribed") == "subscribed"
    return dict(list(consents.items())[:MOST])
