"""Campaigns and a time to count by in; SQL of their facts out: `messages`, `facts` and `converted` (goals reached).

1. An event counts once by its id, type and sender, a message once per kind: its key is its `message_id`, else its
   contact, else the event itself.
2. Merges count as of today, or as of the given time: `contact_merges` keeps when a merge was received.
3. As of a time, events received by then count, so the answer to the same question never changes.
4. A goal is reached by an event of its type within the window that begins when a message was sent to the contact, or
   clicked by it. `conversion` events that name the campaign are the sender's own attribution and need no window,
   unless they are the goal themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.control.control_state import Campaign
from schemas.records.bot_detection import IS_MACHINE, quoted
from schemas.times import parse_duration
from sinks.read_api.request.tenant import Tenant

KINDS = {
    "requested": 1,
    "sent": 2,
    "delivered": 4,
    "opened": 8,
    "machine_opened": 16,
    "clicked": 32,
    "machine_clicked": 64,
    "bounced": 128,
    "complained": 256,
    "unsubscribed": 512,
    "failed": 1024,
}
"""A bit for each; that of a machine's doing is the next after a person's."""
_REPORTED_KINDS = tuple(kind for kind in KINDS if not kind.startswith("machine_"))
TYPES = tuple(f"message.{kind}" for kind in _REPORTED_KINDS)
CONVERSION = "conversion"
DEFAULT_VALUE = "value"
_BIT = f"transform(toString(e.type), [{quoted(TYPES)}], [{', '.join(str(KINDS[k]) for k in _REPORTED_KINDS)}], 0)"
_HASH = "reinterpretAsUInt128(sipHash128(e.campaign_id, {}))"

_HERE = "workspace = {workspace:String} AND environment = {environment:String}"
_TODAY = f"SELECT loser, winner FROM contact_overrides FINAL WHERE {_HERE}"  # noqa: S608 - constants
_THEN = f"""
    SELECT loser, argMax(winner, version) AS winner FROM contact_merges
    WHERE {_HERE} AND at <= fromUnixTimestamp64Milli({{as_of:Int64}}) GROUP BY loser
"""  # noqa: S608 - constants
_RECEIVED = "AND e.received_at <= fromUnixTimestamp64Milli({as_of:Int64})"
_COMMON = """e.campaign_id AS campaign_id, e.variant AS variant, toUnixTimestamp64Milli(e.timestamp) AS ms {more}"""
_WHERE = """e.workspace = {{workspace:String}} AND e.environment = {{environment:String}}
        AND e.campaign_id IN {sources} AND e.type IN {types} {received}"""

# A repeat that the engine has not merged yet changes no figure of messages, so these read without FINAL; a sum does.
_OWNED = f"""
    SELECT
        {_COMMON}, e.event_id AS event_id, e._sender AS sender, e.type AS type,
        e.channel AS channel, e.message_id AS message_id,
        if(o.winner = '', e.contact_id, o.winner) AS contact,
        multiIf(e._message != 0, e._message, contact != '', {_HASH.format("'', contact")},
                {_HASH.format("'', e.type, e.event_id")}) AS key
    FROM events AS e {{final}}
    LEFT ANY JOIN ({{owners}}) AS o ON o.loser = e.own_contact_id
    WHERE {_WHERE} {{of}}
"""  # noqa: S608 - made of constants
_NAMED = f"SELECT {_COMMON}, e._message AS key FROM events AS e WHERE {_WHERE} AND e._message != 0"  # noqa: S608

# Of an order that names no campaign and a conversion that does, both of one contact, there is one unit.
_UNIT = """
    multiIf(message_id != '', concat('m', message_id), contact != '', concat('c', contact),
            concat('e', type, char(127), event_id)) AS unit
"""
_EXPLICIT = f"""
    SELECT campaign_id, (event_id, type, sender) AS event, ms, contact, variant, {_UNIT}, value
    FROM
    (
        SELECT *, toFloat64OrZero(trim(BOTH '"' FROM JSONExtractRaw(properties, property))) AS value,
            transform(campaign_id, {{{{goal_ids:Array(String)}}}}, {{{{goal_values:Array(String)}}}}, 'value')
                AS property
        FROM ({{explicit}})
    )
"""  # noqa: S608 - made of constants
_REACHED = f"""
    UNION ALL
    SELECT goal.1 AS campaign_id, (event_id, type, sender) AS event, ms, contact,
        if(variant = '', touched, variant) AS variant, {_UNIT}, value
    FROM
    (
        SELECT *, toFloat64OrZero(trim(BOTH '"' FROM JSONExtractRaw(properties, goal.4))) AS value,
            arrayJoin(arrayFilter(g -> g.2 = type AND campaign_id IN ('', g.1), {{goals}})) AS goal
        FROM ({{events}})
        WHERE contact != ''
    ) AS hit
    INNER JOIN
    (
        SELECT campaign_id AS home, contact AS who, groupArray(ms) AS touches, max(variant) AS touched
        FROM ({{touches}}) WHERE contact != '' GROUP BY home, who
    ) AS touch ON touch.home = goal.1 AND touch.who = hit.contact
    WHERE arrayExists(t -> hit.ms >= t AND hit.ms < t + goal.3, touches)
"""  # noqa: S608 - made of constants
_MORE = f", bitShiftLeft({_BIT}, {IS_MACHINE}) AS bit, e._bounce AS bounce"
_TYPES = f"[{quoted(TYPES)}]"
_IDS = "{ids:Array(String)}"
_PLACE = f"toUInt16(transform(campaign_id, {_IDS}, range(1, 1 + length({_IDS})), 0)) AS place"
_PROPERTIES = ", e.properties AS properties"


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignQuery:
    """The campaigns, and the time as of which facts count; ``as_of_ms`` ``None``: now."""

    tenant: Tenant
    campaigns: Sequence[Campaign]
    as_of_ms: int | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        goals = [(c.id, c.conversion) for c in self.campaigns if c.conversion is not None]
        own = {i for i, goal in goals if goal.event == CONVERSION}
        ids = [c.id for c in self.campaigns]
        return {
            **self.tenant.parameters,
            "ids": ids,
            "as_of": self.as_of_ms or 0,
            "goal_ids": [i for i, _ in goals],
            "goal_types": [goal.event for _, goal in goals],
            "goal_windows": [parse_duration(goal.window) or 0 for _, goal in goals],
            "goal_values": [goal.value or DEFAULT_VALUE for _, goal in goals],
            "explicit": [i for i in ids if i not in own],
        }

    @property
    def messages(self) -> str:
        """SQL of at least one row for each message event: campaign_id, ms, key, variant, bit, bounce."""
        return self._messages("campaign_id, ms, key, variant, bit, bounce", _TYPES)

    @property
    def placed(self) -> str:
        """The same with no more than the campaign's place among those asked for (from 1), ms, key and bit."""
        return self._messages(f"{_PLACE}, ms, key, bit", _TYPES)

    @property
    def bounced(self) -> str:
        """Of bounces alone: place, ms, key, bounce."""
        return self._messages(f"{_PLACE}, ms, key, bounce", "['message.bounced']")

    def _messages(self, columns: str, types: str) -> str:
        named = _NAMED.format(more=_MORE, sources=_IDS, types=types, received=self._received)
        others = self._owned(_IDS, types, more=_MORE, of="AND e._message = 0")
        return f"SELECT {columns} FROM ({named}) UNION ALL SELECT {columns} FROM ({others})"  # noqa: S608 - constants

    @property
    def facts(self) -> str:
        """The same with event_id, contact, message_id and channel, which takes longer."""
        return self._owned(_IDS, _TYPES, more=_MORE)

    @property
    def converted(self) -> str:
        """SQL of a row for each event that reached a goal: campaign_id, event, ms, contact, variant, unit, value."""
        once = {"more": _PROPERTIES, "final": "FINAL"}
        explicit = self._owned("{explicit:Array(String)}", f"['{CONVERSION}']", **once)
        text = _EXPLICIT.format(explicit=explicit)
        if not any(c.conversion for c in self.campaigns):
            return text
        names = ("goal_ids:Array(String)", "goal_types:Array(String)", "goal_windows:Array(Int64)")
        goals = "arrayZip(" + ", ".join(f"{{{name}}}" for name in (*names, "goal_values:Array(String)")) + ")"
        events = self._owned("arrayConcat([''], {goal_ids:Array(String)})", "{goal_types:Array(String)}", **once)
        touches = self._owned("{goal_ids:Array(String)}", "['message.sent', 'message.clicked']")
        return text + _REACHED.format(goals=goals, events=events, touches=touches)

    @property
    def _received(self) -> str:
        return "" if self.as_of_ms is None else _RECEIVED

    def _owned(self, sources: str, types: str, *, more: str = "", final: str = "", of: str = "") -> str:
        owners = _TODAY if self.as_of_ms is None else _THEN
        return _OWNED.format(
            more=more, final=final, owners=owners, sources=sources, types=types, received=self._received, of=of
        )
