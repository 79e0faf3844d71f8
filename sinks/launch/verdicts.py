"""A campaign and an audience in; SQL of each contact's address, or of the reason why it gets no message, out.

One query decides for a preview and for a launch. A contact is skipped for the first reason that holds: it is gone, it
has no address for the channel, it refused the consent or did not give it, it got as many messages as the cap allows.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from schemas.control.consent import NOT_REFUSED, consent_of
from schemas.control.control_state import Campaign
from schemas.records.channels import DEVICES, EMAIL, PHONE, address_kind
from schemas.times import parse_duration

HERE = "workspace = {workspace:String} AND environment = {environment:String}"
LISTED = "{audience:Array(String)}"
"""The contacts of a page, as a parameter."""
OF_SEGMENT = f"SELECT contact_id FROM memberships FINAL WHERE {HERE} AND segment_id = {{segment:String}} AND member"  # noqa: S608 - constants
_ADDRESSES = {EMAIL: "c.email", PHONE: "c.phone", DEVICES: "if(JSONLength(c.devices) > 0, 'any', '')", "": "'any'"}
_SAID = (
    "arrayExists(n -> toString(JSONType(c.consents, n)) = 'Bool' AND JSONExtractBool(c.consents, n) = {truth}, {names})"
)
_NAMES = "{consents:Array(String)}"
_CAPPED = f"""
(
    SELECT contact_id, uniqExact(campaign_id, if(message_id = '', event_id, message_id)) AS messages
    FROM events_resolved
    WHERE {HERE} AND campaign_id IN {{rivals:Array(String)}} AND type IN ('message.requested', 'message.sent')
        AND timestamp >= fromUnixTimestamp64Milli({{since:Int64}})
        AND JSONExtractString(properties, 'launch_id') != {{launch:String}}
    GROUP BY contact_id
)"""  # noqa: S608 - constants
_VERDICTS = """
SELECT c.contact_id AS contact_id, c.email AS email, c.phone AS phone, c.devices AS devices,
    multiIf({address} = '', 'no_address', {refused}, 'no_consent', {capped}, 'capped', '') AS skip
FROM (SELECT contact_id, email, phone, devices, consents FROM contacts FINAL
    WHERE {here} AND merged_into = '' AND contact_id IN ({audience})) AS c
{joined}
ORDER BY contact_id
"""


class VerdictQuery(NamedTuple):
    """A query with a row for each existing contact: contact_id, email, phone, devices, and skip (empty: send)."""

    sql: str
    parameters: dict[str, Any]

    @property
    def counts(self) -> str:
        """How many contacts, by ``skip``."""
        return f"SELECT skip, count() AS contacts FROM ({self.sql}) GROUP BY skip"  # noqa: S608 - our own words


def verdicts(
    campaign: Campaign,
    campaigns: Iterable[Campaign],
    audience: str,
    *,
    launch_id: str,
    at_ms: int,
    override_consent: bool,
) -> VerdictQuery:
    """``audience``: SQL of contact ids, or ``LISTED``; ``campaigns``: all of the environment, for the cap."""
    consent, cap = consent_of(campaign), campaign.cap
    refused = _SAID.format(truth=0, names=_NAMES)
    if consent.required != NOT_REFUSED:
        refused = f"({refused} OR NOT {_SAID.format(truth=1, names=_NAMES)})"
    sql = _VERDICTS.format(
        address=_ADDRESSES[address_kind(campaign.channel)],
        refused="0" if override_consent else refused,
        capped="0" if cap is None else "p.messages >= {cap:UInt32}",
        here=HERE,
        audience=audience,
        joined="" if cap is None else f"LEFT JOIN {_CAPPED} AS p ON p.contact_id = c.contact_id",
    )
    parameters: dict[str, Any] = {
        "workspace": campaign.workspace,
        "environment": campaign.environment,
        "consents": list(consent.names),
    }
    if cap is not None:
        rivals = [other.id for other in campaigns if other.channel == campaign.channel]
        since = at_ms - (parse_duration(cap.within) or 0)
        parameters |= {"cap": cap.messages, "rivals": rivals, "since": since, "launch": launch_id}
    return VerdictQuery(sql, parameters)
