"""A client's rule in; the number of contacts that meet it now, and a sample of them, out."""

from typing import Any, TypedDict

from schemas.api.answers.segments import PreviewShape
from schemas.api.requests.body import checked
from schemas.api.requests.segments import SegmentPreview
from schemas.control.control_state import ControlState
from schemas.rules import parse, rule_tree, sql
from schemas.rules.nodes import Rule
from sinks.read_api.control.rule_warnings import unseen
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

SAMPLE = 10
DRAFT = ""
"""Id of a segment that is not there yet."""


class RuleWarnings(TypedDict):
    warnings: list[str]


def tree_of(control: ControlState, place: tuple[str, str], segment_id: str, written: Any) -> Rule:
    """A rule with the segments and lists it refers to; raises ``ApiError`` (422) with the path of the wrong field."""
    return rule_tree.read(segment_id, written, *control.rules_and_lists(place))


async def preview(
    reader: ClickHouseReader, tenant: Tenant, control: ControlState, body: Any, now_ms: int
) -> PreviewShape:
    """``body`` is a ``SegmentPreview``; raises ``ApiError`` with the path of the wrong field."""
    rule = checked(SegmentPreview, body).rule
    rule_tree.check(DRAFT, rule, *control.rules_and_lists(tenant.place))
    tree = tree_of(control, tenant.place, DRAFT, rule)
    query = sql.members(tree, tenant.workspace, tenant.environment, now_ms)
    select = f"SELECT count() AS contacts, groupArray({SAMPLE})(contact_id) AS sample FROM ({query.sql})"  # noqa: S608 - our own words
    (row,) = await reader.rows(select, **query.parameters)
    answer: PreviewShape = {"contacts": row["contacts"], "sample": row["sample"]}
    warnings = await unseen(reader, tenant, parse.parse(rule))
    if warnings:
        answer["warnings"] = warnings
    return answer


async def warnings_of(reader: ClickHouseReader, tenant: Tenant, body: Any) -> RuleWarnings:
    """Of a rule that has been written, as the edge asks: ``{"rule": R}`` in."""
    return {"warnings": await unseen(reader, tenant, parse.parse(body["rule"]))}
