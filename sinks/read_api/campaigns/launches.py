"""A campaign and an audience in; how many of its contacts a launch now would reach, and why not the others, out."""

from typing import Any, TypedDict

from schemas.api import serialize
from schemas.api.answers.campaigns import SkippedContacts
from schemas.control.control_state import Campaign, ControlState
from schemas.control.lookup import require
from schemas.errors import ApiError
from schemas.rules import rule_tree, sql
from sinks.launch.verdicts import LISTED, OF_SEGMENT, verdicts
from sinks.read_api.contacts.contacts import find
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant


class LaunchReach(TypedDict):
    contact: str | None
    total: int
    launched: int
    skipped: SkippedContacts


async def plan(
    reader: ClickHouseReader, control: ControlState, tenant: Tenant, campaign: Campaign, *, body: Any, now_ms: int
) -> LaunchReach:
    """``contact`` is the id of the one that is named; raises ``ApiError`` (404, 422)."""
    contact, parameters = "", {}
    rules, lists = control.rules_and_lists(tenant.place)
    if body.get("segment") is not None:
        require(control.segments[tenant.place], body["segment"], "segment")
        audience, parameters = OF_SEGMENT, {"segment": body["segment"]}
    elif body.get("contact") is not None:
        row = await find(reader, tenant, tenant.contact_id(body["contact"]))
        if row is None:
            raise ApiError("not_found", "no such contact", "contact")
        contact = row["contact_id"]
        audience, parameters = LISTED, {"audience": [contact]}
    else:
        rule_tree.check("", body["rule"], rules, lists)
        tree = rule_tree.read("", body["rule"], rules, lists)
        query = sql.members(tree, tenant.workspace, tenant.environment, now_ms)
        audience, parameters = query.sql.rpartition("SETTINGS")[0], query.parameters
    campaigns = control.campaigns[tenant.place].values()
    override = body.get("override_consent") is True
    verdict_query = verdicts(campaign, campaigns, audience, launch_id="", at_ms=now_ms, override_consent=override)
    bound = parameters | verdict_query.parameters
    rows = await reader.rows(f"{verdict_query.counts} SETTINGS precise_float_parsing = 1", **bound)
    counts = {row["skip"]: row["contacts"] for row in rows}
    if body.get("segment") is not None:
        members = (await reader.rows(f"SELECT count() AS members FROM ({OF_SEGMENT})", **bound))[0]["members"]  # noqa: S608 - constants
        counts["gone"] = max(0, members - sum(counts.values()))
    return {
        "contact": contact or None,
        "total": sum(counts.values()),
        "launched": counts.get("", 0),
        "skipped": serialize.skipped(counts),
    }
