"""The consent fields of calls in, consents by name out; pure.

A call that gives or withdraws a consent does it at its time, and that is kept (``consents`` of a profile). A page that
sends with each event what holds at the moment says little with most of them (``consent_state``): only a change is kept.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.errors import ApiError
from schemas.limits import MOST_CONSENTS as MOST

Consents = dict[str, bool | None]


def given(value: Mapping[str, Any], name: str = "consents") -> Consents:
    """A field that holds consents, each true, false, or null to forget it; raises ``ApiError`` (422)."""
    found = value.get(name)
    if found is None or found == []:  # as PHP writes an empty object
        return {}
    if not isinstance(found, dict):
        raise ApiError("invalid_field", f"{name} must be an object of true, false and null", name)
    if len(found) > MOST:
        raise ApiError("invalid_field", f"{name} has more than {MOST} names", name)
    for consent, said in found.items():
        if said is not None and not isinstance(said, bool):
            place = f"{name}.{consent[:80]}"
            raise ApiError("invalid_field", f"{place} must be true, false or null", place)
    return found


def held(context: Mapping[str, Any]) -> Consents:
    """Of Segment's ``consent`` and RudderStack's ``consentManagement``; what is neither says nothing."""
    consents: Consents = dict(_held(context))
    return dict(list(consents.items())[:MOST])


def _held(context: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    consent = context.get("consent")
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    if isinstance(preferences, dict):
        yield from ((name, said) for name, said in preferences.items() if isinstance(said, bool))
    managed = context.get("consentManagement")
    if isinstance(managed, dict):
        for field, said in (("allowedConsentIds", True), ("deniedConsentIds", False)):
            names = managed.get(field)
            yield from ((name, said) for name in (names if isinstance(names, list) else ()) if isinstance(name, str))


def subscribed(subscriptions: Any) -> Consents:
    """Of Altcraft's subscriptions: to each channel's marketing, if any of the channel's is active."""
    found: Consents = {}
    for one in subscriptions if isinstance(subscriptions, list) else [subscriptions]:
        if isinstance(one, dict) and isinstance(channel := one.get("channel"), str) and channel:
            name = f"{channel.lower()[:64]}_marketing"
            found[name] = bool(found.get(name)) or one.get("status", "subscribed") == "subscribed"
    return dict(list(found.items())[:MOST])
