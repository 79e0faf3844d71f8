"""Authorised requests about segments and named lists in, the read API's answers out: a function for every path."""

from typing import Any

from schemas.control.control_state import Segment
from schemas.control.lookup import require
from schemas.service.clock import now_ms
from sinks.read_api.contacts import contact_list, explain
from sinks.read_api.control import definitions, preview, segment_history, value_lists
from sinks.read_api.graphql import execution
from sinks.read_api.request.context import ReadRequest
from sinks.read_api.request.paging import list_page
from sinks.read_api.services import ReadServices


async def list_segments(api: ReadServices, asked: ReadRequest) -> Any:
    paging = asked.paging
    segments = definitions.segments_of(api.control, asked.tenant)
    shapes = await definitions.with_counts(api.reader, api.control, asked.tenant, segments)
    return list_page(paging, shapes)


async def get_segment(api: ReadServices, asked: ReadRequest) -> Any:
    segment = require(_segments(api, asked), asked.part("id"), "segment")
    return (await definitions.with_counts(api.reader, api.control, asked.tenant, [segment]))[0]


async def list_segment_contacts(api: ReadServices, asked: ReadRequest) -> Any:
    segment = require(_segments(api, asked), asked.part("id"), "segment")
    return await contact_list.contacts(api.reader, asked.tenant, {}, asked.paging, segment.id)


async def explain_segment(api: ReadServices, asked: ReadRequest) -> Any:
    segment = require(_segments(api, asked), asked.part("id"), "segment")
    tree = preview.tree_of(api.control, asked.tenant.place, segment.id, segment.rule)
    contact = asked.query.get("contact", "")
    return await explain.explain(api.reader, asked.tenant, (segment, tree), contact, now_ms())


async def preview_segment(api: ReadServices, asked: ReadRequest) -> Any:
    body = await execution.json_body(asked.request)
    return await preview.preview(api.reader, asked.tenant, api.control, body, now_ms())


async def list_segment_warnings(api: ReadServices, asked: ReadRequest) -> Any:
    return await preview.warnings_of(api.reader, asked.tenant, await asked.request.json())


async def get_segment_history(api: ReadServices, asked: ReadRequest) -> Any:
    segment = require(_segments(api, asked), asked.part("id"), "segment")
    return await segment_history.sizes(api.reader, asked.tenant, segment.id, asked.query, now_ms())


async def list_segment_changes(api: ReadServices, asked: ReadRequest) -> Any:
    segment = require(_segments(api, asked), asked.part("id"), "segment")
    return await segment_history.changes(api.reader, asked.tenant, segment.id, asked.query, asked.paging)


async def list_value_lists(api: ReadServices, asked: ReadRequest) -> Any:
    return value_lists.lists_of(api.control, asked.tenant, asked.paging, api.reader.partitions)


async def get_value_list(api: ReadServices, asked: ReadRequest) -> Any:
    record = value_lists.list_named(api.control, asked.tenant, asked.part("name"))
    return value_lists.shape(api.control, record, api.reader.partitions)


async def list_values(api: ReadServices, asked: ReadRequest) -> Any:
    return value_lists.values_of(value_lists.list_named(api.control, asked.tenant, asked.part("name")), asked.paging)


def _segments(api: ReadServices, asked: ReadRequest) -> dict[str, Segment]:
    return api.control.segments[asked.tenant.place]
