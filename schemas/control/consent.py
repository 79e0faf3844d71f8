"""A campaign and a contact's consents in; whether the contact may be sent a message of it out; pure."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from schemas.control.definitions import Campaign

Required = Literal["given", "not_refused"]
TRIGGER = "trigger"
NOT_REFUSED: Required = "not_refused"


class RequiredConsent(NamedTuple):
    """Either at least one of ``names`` must be given, or the contact must not have refused any."""

    names: tuple[str, ...]
    required: Required

    def allows(self, consents: Mapping[str, Any]) -> bool:
        """Whether the consents allow a message: a refusal under any name forbids it; removed ones do not count."""
        values = [consents.get(name) for name in self.names]
        if False in values:
            return False
        return self.required == NOT_REFUSED or True in values


def consent_of(campaign: Campaign) -> RequiredConsent:
    """A message on request (a trigger) must not have been refused; other messages need a given consent."""
    chosen = campaign.consent
    names = (
        (chosen.name,) if chosen is not None and chosen.name else (f"{campaign.channel}_marketing", campaign.channel)
    )
    usual: Required = NOT_REFUSED if campaign.kind == TRIGGER else "given"
    return RequiredConsent(names, chosen.required if chosen is not None and chosen.required else usual)
