"""Authorised requests about segments and named lists in, the read API's answers out: a function for every path."""

from schemas.api.answers.contacts import ContactShape
from schemas.api.answers.fields import Page
from schemas.api.answers.lists import ListedValueShape, ValueListShape
from schemas.api.answers.segments import (
    ExplanationShape,
    PreviewShape,
    SegmentChangeShape,
    SegmentHistoryShape,
    SegmentShape,
)
from schemas.control.control_state import Segment
from schemas.control.lookup import require
from schemas.service.clock import now_ms
from sinks.read_api.contacts import contact_list, explain
from sinks.read_api.control import definitions, preview, segment_history, value_lists
from sinks.read_api.control.preview import RuleWarnings
from sinks.read_api.graphql import execution
from sinks.read_api.request.context import ReadRequest
from sinks.read_api.request.paging import list_page
from sinks.read_api.services import ReadServices


async def list_segments(api: ReadServices, request: ReadRequest) -> Page[SegmentShape]:
    paging = request.paging
    segments = definitions.segments_of(api.control, request.tenant)
    shapes = await definitions.with_counts(api.reader, api.control, request.tenant, segments)
    return list_page(paging, shapes)


async def get_segment(api: ReadServices, request: ReadRequest) -> SegmentShape:
    segment = require(_segments(api, request), request.part("id"), "segment")
    return (await definitions.with_counts(api.reader, api.control, request.tenant, [segment]))[0]


async def list_segment_contacts(api: ReadServices, request: ReadRequest) -> Page[ContactShape]:
    segment = require(_segments(api, request), request.part("id"), "segment")
    return await contact_list.contacts(api.reader, request.tenant, {}, request.paging, segment.id)


async def explain_segment(api: ReadServices, request: ReadRequest) -> ExplanationShape:
    segment = require(_segments(api, request), request.part("id"), "segment")
    tree = preview.tree_of(api.control, request.tenant.place, segment.id, segment.rule)
    contact = request.query.get("contact", "")
    return await explain.explain(api.reader, request.tenant, (segment, tree), contact, now_ms())


async def preview_segment(api: ReadServices, request: ReadRequest) -> PreviewShape:
    body = await execution.json_body(request.http)
    return await preview.preview(api.reader, request.tenant, api.control, body, now_ms())


async def list_segment_warnings(api: ReadServices, request: ReadRequest) -> RuleWarnings:
    return await preview.warnings_of(api.reader, request.tenant, await request.json())


async def get_segment_history(api: ReadServices, request: ReadRequest) -> SegmentHistoryShape:
    segment = require(_segments(api, request), request.part("id"), "segment")
    return await segment_history.sizes(api.reader, request.tenant, segment.id, request.query, now_ms())


async def list_segment_changes(api: ReadServices, request: ReadRequest) -> Page[SegmentChangeShape]:
    segment = require(_segments(api, request), request.part("id"), "segment")
    return await segment_history.changes(api.reader, request.tenant, segment.id, request.query, request.paging)


async def list_value_lists(api: ReadServices, request: ReadRequest) -> Page[ValueListShape]:
    return value_lists.lists_of(api.control, request.tenant, request.paging, api.reader.partitions)


async def get_value_list(api: ReadServices, request: ReadRequest) -> ValueListShape:
    record = value_lists.list_named(api.control, request.tenant, request.part("name"))
    return value_lists.shape(api.control, record, api.reader.partitions)


async def list_values(api: ReadServices, request: ReadRequest) -> Page[ListedValueShape]:
    return value_lists.values_of(
        value_lists.list_named(api.control, request.tenant, request.part("name")), request.paging
    )


def _segments(api: ReadServices, request: ReadRequest) -> dict[str, Segment]:
    return api.control.segments[request.tenant.place]
