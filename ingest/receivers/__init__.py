"""The table of providers whose webhooks are received; SES has its own way, for its certificate must be fetched."""

from collections.abc import Callable
from dataclasses import dataclass

from ingest.events.raw import RawEvent
from ingest.receivers import mailgun, postmark, sendgrid, ses, twilio
from ingest.receivers.provider_request import ProviderRequest
from ingest.receivers.replay import SignedToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """``verify`` raises ``ApiError`` (401) for what is not the provider's; ``events`` are what it says."""

    verify: Callable[[ProviderRequest], None]
    events: Callable[[ProviderRequest], list[RawEvent]]
    token: Callable[[ProviderRequest], SignedToken] | None = None
    """What the provider signed, where that is not the body."""


PROVIDERS = {
    sendgrid.PROVIDER: Provider(verify=sendgrid.verify, events=sendgrid.events),
    postmark.PROVIDER: Provider(verify=postmark.verify, events=postmark.events),
    mailgun.PROVIDER: Provider(verify=mailgun.verify, events=mailgun.events, token=mailgun.token),
    twilio.PROVIDER: Provider(verify=twilio.verify, events=twilio.events),
}
NAMES = (*PROVIDERS, ses.PROVIDER)
