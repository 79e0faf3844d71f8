"""The body that defines a receiver of a provider's reports in; a checked model out."""

from typing import Annotated

from pydantic import Field

from schemas.api.requests.body import Body
from schemas.limits import MAX_CONSENT, MAX_RECEIVER_SECRET

Proof = Annotated[str, Field(min_length=1, max_length=MAX_RECEIVER_SECRET, pattern=r"\S")]


class NewReceiver(Body):
    """An address for a provider's reports; which of the secrets it takes follows from the provider."""

    provider: str
    signing_secret: Proof | None = None
    public_key: Proof | None = None
    topic_arn: Annotated[Proof | None, Field(description="needed for ses: arn:aws:sns:<region>:<account>:<name>")] = (
        None
    )
    consent: Annotated[
        Annotated[str, Field(min_length=1, max_length=MAX_CONSENT, pattern=r"\S")] | None,
        Field(description="the consent that an unsubscribe or complaint withdraws; default: email_ or sms_marketing"),
    ] = None
    environment: str | None = None
