"""The read API's table of paths: each with its scope, its handler, and whether it needs the latest definitions."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.api.routes import READS as SPECS
from schemas.limits import JSON
from schemas.service import web
from sinks.read_api import campaign_handlers, handlers, segment_handlers
from sinks.read_api.lists.forms import form_of
from sinks.read_api.lists.stream import ListHandler, whole_list
from sinks.read_api.request.context import ReadRequest, authorise
from sinks.read_api.request.tenant import Tenant
from sinks.read_api.services import ReadServices

INTERNAL = "/internal"
"""Paths for the edge alone; requests from outside are not proxied to them."""


class Read(NamedTuple):
    """``fresh``: definitions are read up to the end of `control` first, so that a write just answered is seen."""

    path: str
    scope: str
    handler: Callable[[ReadServices, ReadRequest], Awaitable[Mapping[str, object] | Response]]
    fresh: bool = False
    method: str = "GET"


READS: tuple[Read, ...] = (
    Read("/v1/segments/preview", "segments:read", segment_handlers.preview_segment, fresh=True, method="POST"),
    Read("/v1/segments/{id}/explain", "segments:read", segment_handlers.explain_segment, fresh=True, method="POST"),
    Read(f"{INTERNAL}/contacts/found", "contacts:write", handlers.find_contacts, method="POST"),
    Read(f"{INTERNAL}/segments/found", "segments:write", handlers.find_contacts, method="POST"),
    Read(f"{INTERNAL}/segments/warnings", "segments:write", segment_handlers.list_segment_warnings, method="POST"),
    Read(f"{INTERNAL}/contacts/written", "contacts:write", handlers.wait_for_contact, method="POST"),
    Read(f"{INTERNAL}/events/linked", "events:ingest", handlers.wait_for_link, method="POST"),
    Read(f"{INTERNAL}/audience", "contacts:read", campaign_handlers.query_audience, method="POST"),
    Read("/v1/contacts", "contacts:read", handlers.list_contacts),
    Read("/v1/contacts/{id}", "contacts:read", handlers.get_contact),
    Read("/v1/contacts/{id}/events", "contacts:read", handlers.list_contact_events),
    Read("/v1/contacts/{id}/export", "contacts:read", handlers.export_contact, fresh=True),
    Read("/v1/contacts/{id}/segments", "contacts:read", handlers.list_contact_segments),
    Read("/v1/contacts/{id}/identity", "contacts:read", handlers.get_identity),
    Read("/v1/contacts/{id}/split", "contacts:write", handlers.get_evidence),
    Read("/v1/events", "contacts:read", handlers.list_events),
    Read("/v1/event-types", "contacts:read", handlers.list_event_types),
    Read("/v1/typed-columns", "contacts:read", handlers.list_typed_columns, fresh=True),
    Read("/v1/typed-columns/{property:path}", "contacts:read", handlers.get_typed_column, fresh=True),
    Read("/v1/events/{id}", "contacts:read", handlers.get_event),
    Read("/v1/events/{id}/trace", "contacts:read", handlers.get_event_trace),
    Read("/v1/segments", "segments:read", segment_handlers.list_segments, fresh=True),
    Read("/v1/segments/{id}", "segments:read", segment_handlers.get_segment, fresh=True),
    Read("/v1/segments/{id}/contacts", "segments:read", segment_handlers.list_segment_contacts, fresh=True),
    Read("/v1/segments/{id}/history", "segments:read", segment_handlers.get_segment_history, fresh=True),
    Read("/v1/segments/{id}/changes", "segments:read", segment_handlers.list_segment_changes, fresh=True),
    Read("/v1/lists", "segments:read", segment_handlers.list_value_lists, fresh=True),
    Read("/v1/lists/{name}", "segments:read", segment_handlers.get_value_list, fresh=True),
    Read("/v1/lists/{name}/values", "segments:read", segment_handlers.list_values, fresh=True),
    Read("/v1/campaigns", "campaigns:read", campaign_handlers.list_campaigns, fresh=True),
    Read("/v1/campaigns/{id}", "campaigns:read", campaign_handlers.get_campaign, fresh=True),
    Read("/v1/campaigns/{id}/deliveries", "campaigns:read", campaign_handlers.list_campaign_deliveries, fresh=True),
    Read("/v1/campaigns/{id}/timeseries", "campaigns:read", campaign_handlers.get_campaign_series, fresh=True),
    Read("/v1/campaigns/{id}/launches", "campaigns:read", campaign_handlers.list_launches, fresh=True),
    Read("/v1/campaigns/{id}/launches/{launch_id}", "campaigns:read", campaign_handlers.get_launch, fresh=True),
    Read(
        f"{INTERNAL}/campaigns/{{id}}/plan", "campaigns:write", campaign_handlers.plan_launch, fresh=True, method="POST"
    ),
    Read("/v1/parity", "segments:read", handlers.get_parity),
    Read("/v1/receivers", "webhooks:read", handlers.list_receivers, fresh=True),
    Read("/v1/contacts/{id}/consents", "contacts:read", handlers.list_consents),
    Read("/v1/keys", "admin", handlers.list_keys, fresh=True),
    Read("/v1/keys/{id}", "admin", handlers.get_key, fresh=True),
    Read("/v1/workspaces", "instance", handlers.list_workspaces, fresh=True),
    Read("/v1/workspaces/{id}", "admin", handlers.get_workspace, fresh=True),
    Read("/v1/usage", "admin", handlers.get_usage),
    Read("/v1/ledger", "admin", handlers.get_ledger),
    Read("/v1/environments", "admin", handlers.list_environments, fresh=True),
    Read("/v1/test/good", "contacts:read", handlers.list_accepted_in_test, fresh=True),
    Read("/v1/webhooks", "webhooks:read", handlers.list_webhooks, fresh=True),
    Read("/v1/webhooks/health", "webhooks:read", handlers.list_webhook_health, fresh=True),
    Read("/v1/webhooks/{id}", "webhooks:read", handlers.get_webhook, fresh=True),
    Read("/v1/webhooks/{id}/deliveries", "webhooks:read", handlers.list_deliveries, fresh=True),
    Read("/v1/webhooks/{id}/deliveries/{delivery_id}", "webhooks:read", handlers.get_delivery, fresh=True),
    Read(f"{INTERNAL}/webhooks/{{id}}/unsent", "webhooks:write", handlers.list_unsent, fresh=True, method="POST"),
    Read("/v1/tasks/{id}", "events:ingest", handlers.get_task),
    Read("/tasks/{id}", "events:ingest", handlers.get_task),
    Read("/v1/quarantine", "admin", handlers.list_quarantine),
    Read("/v1/quarantine/summary", "admin", handlers.get_quarantine_summary),
    Read("/v1/quarantine/{id}", "admin", handlers.get_quarantined, fresh=True),
    Read("/v1/quarantine/jobs/{id}", "admin", handlers.get_quarantine_job, fresh=True),
    Read(f"{INTERNAL}/quarantine/plan", "admin", handlers.plan_replay, fresh=True, method="POST"),
    Read("/v1/erasures/{id}", "contacts:write", handlers.get_erasure, fresh=True),
    Read(f"{INTERNAL}/contacts/known/{{id}}", "contacts:write", handlers.find_contact_ids),
    Read(f"{INTERNAL}/refused", "events:ingest", handlers.get_link_refusal),
)
"""A public path has its line in `schemas/api/routes.py` as well."""
LISTS = {spec.path: shape[:-2] for spec in SPECS if (shape := spec.answers.get(200, "")).endswith("[]")}
"""Paths of lists, each with the name of its rows' shape."""


def routes(api: ReadServices) -> list[Route]:
    """A route's name is its scope."""

    async def triggered(request: Request) -> Response:
        await api.tail.catch_up()
        return web.JsonResponse(await campaign_handlers.find_triggered(api, request))

    return [*(_route(api, read) for read in READS), Route(f"{INTERNAL}/trigger/{{trigger}}", triggered)]


def _route(api: ReadServices, read: Read) -> Route:
    async def endpoint(http: Request) -> Response:
        principal = await authorise(http, api.control, api.tail, read.scope)
        if read.fresh:
            await api.tail.catch_up()
        place = (principal.workspace, principal.environment)
        request = ReadRequest(principal, Tenant(*place, api.control.segments[place]), http)
        if read.method == "GET" and read.path in LISTS:
            form = form_of(request.query, http.headers.get("accept", ""))
            if form != JSON:
                # the answer of a path of LISTS is a page
                handler = cast("ListHandler", partial(read.handler, api))
                return await whole_list(handler, request, form, LISTS[read.path])
        answer = await read.handler(api, request)
        return answer if isinstance(answer, Response) else web.JsonResponse(answer)

    return Route(read.path, endpoint, methods=[read.method], name=read.scope)
