"""The table of providers whose webhooks are received; SES has its own way, for its certificate must be fetched."""

from collections.abc import Callable
from dataclasses import dataclass

from ingest.events.raw import RawEvent
from ingest.receivers import mailgun, postmark, sendgrid, ses, twilio
from ingest.receivers.provider_request import ProviderRequest
from ingest.receivers.replay import SignedToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """``verify`` raises ``ApiError`` (401) unless the provider signed the request; ``events`` parses its reports."""

    verify: Callable[[ProviderRequest], None]
    events: Callable[[ProviderRequest], list[RawEvent]]
    token: Callable[[ProviderRequest], SignedToken] | None = None
    """The signed token, where the provider does not sign the body."""


PROVIDERS = {
    sendgrid.PROVIDER: Provider(verify=sendgrid.verify, events=sendgrid.events),
    postmark.PROVIDER: Provider(verify=postmark.verify, events=postmark.events),
    mailgun.PROVIDER: Provider(verify=mailgun.verify, events=mailgun.events, token=mailgun.token),
    twilio.PROVIDER: Provider(verify=twilio.verify, events=twilio.events),
}
NAMES = (*PROVIDERS, ses.PROVIDER)
