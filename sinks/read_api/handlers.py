"""Authorised requests in, the values that the read API answers out: a function for every path."""

from typing import TypedDict

from starlette.responses import Response

from schemas.api import serialize
from schemas.api.answers.access import EnvironmentShape, KeyShape, TestGoodShape, WorkspaceShape
from schemas.api.answers.contacts import (
    ContactConsentShape,
    ContactIdentityShape,
    ContactSegmentShape,
    ContactShape,
    ContactTiesShape,
    ErasureShape,
)
from schemas.api.answers.events import (
    ContactEventShape,
    EventTraceShape,
    EventTypeShape,
    StoredEventShape,
    TaskShape,
    TypedColumnShape,
)
from schemas.api.answers.fields import Page
from schemas.api.answers.operations import LedgerShape, UsageShape
from schemas.api.answers.quarantine import (
    QuarantinedRecordShape,
    QuarantinedShape,
    QuarantineJobShape,
    QuarantinePlanShape,
    QuarantineSummaryShape,
)
from schemas.api.answers.segments import ParityShape
from schemas.api.answers.webhooks import (
    DeliveryAttemptShape,
    DeliveryDetailShape,
    ReceiverShape,
    WebhookHealthShape,
    WebhookShape,
)
from schemas.control.control_state import Webhook
from schemas.control.lookup import require
from schemas.control.quarantine_jobs import QuarantineFilter
from schemas.errors import ApiError
from schemas.limits import MAX_LIMIT
from schemas.service.clock import now_ms
from sinks.read_api.contacts import (
    consents,
    contact_list,
    contacts,
    erasures,
    event,
    event_list,
    identities,
    link_refusal,
    trace,
)
from sinks.read_api.contacts.erasures import ContactIds
from sinks.read_api.contacts.read_your_writes import FoundContacts, WrittenContact
from sinks.read_api.control import (
    definitions,
    event_types,
    ledger,
    tasks,
    trial,
    typed_columns,
    usage,
    webhook_health,
    webhooks,
)
from sinks.read_api.control.quarantine import QuarantineReader
from sinks.read_api.control.webhooks import UnsentDeliveries
from sinks.read_api.lists import person
from sinks.read_api.request.context import ReadRequest
from sinks.read_api.request.paging import list_page
from sinks.read_api.services import ReadServices


class LinkState(TypedDict):
    linked: bool
    warnings: list[str]


class LinkRefusal(TypedDict):
    refused: bool


async def get_contact(api: ReadServices, request: ReadRequest) -> ContactShape:
    return await contacts.get(api.reader, request.tenant, request.part("id"))


async def export_contact(api: ReadServices, request: ReadRequest) -> Response:
    return await person.export(api.reader, request, _segment_names(api, request))


async def list_contact_events(api: ReadServices, request: ReadRequest) -> Page[ContactEventShape]:
    return await contacts.events(api.reader, request.tenant, request.part("id"), request.paging, request.query)


async def list_events(api: ReadServices, request: ReadRequest) -> Page[StoredEventShape]:
    return await event_list.events(api.reader, request.tenant, request.query, request.paging)


async def list_event_types(api: ReadServices, request: ReadRequest) -> Page[EventTypeShape]:
    return await event_types.event_types(api.reader, request.tenant, request.paging)


async def list_typed_columns(api: ReadServices, request: ReadRequest) -> Page[TypedColumnShape]:
    return await typed_columns.typed_columns(api.reader, api.control, request.tenant, request.paging)


async def get_typed_column(api: ReadServices, request: ReadRequest) -> TypedColumnShape:
    return await typed_columns.typed_column(api.reader, api.control, request.tenant, request.part("property"))


async def get_event(api: ReadServices, request: ReadRequest) -> StoredEventShape:
    return await event.event(api.reader, request.tenant, request.part("id"))


async def get_event_trace(api: ReadServices, request: ReadRequest) -> EventTraceShape:
    names = _segment_names(api, request)
    return await trace.trace(api.reader, api.times, request.tenant, request.part("id"), names)


async def find_contact_ids(api: ReadServices, request: ReadRequest) -> ContactIds:
    return await erasures.ids_of(api.reader, request.tenant, request.part("id"))


async def get_erasure(api: ReadServices, request: ReadRequest) -> ErasureShape:
    return erasures.shown(api.control, request.tenant, request.part("id"), api.reader.partitions, now_ms())


async def get_identity(api: ReadServices, request: ReadRequest) -> ContactIdentityShape:
    return await identities.identity(api.reader, request.tenant, request.part("id"))


async def get_evidence(api: ReadServices, request: ReadRequest) -> ContactTiesShape:
    return await identities.ties(api.reader, request.tenant, request.part("id"))


async def list_consents(api: ReadServices, request: ReadRequest) -> Page[ContactConsentShape]:
    return await consents.consents(api.reader, request.tenant, request.part("id"), request.paging)


async def find_contacts(api: ReadServices, request: ReadRequest) -> FoundContacts:
    return await api.written.find(request.tenant, await request.json())


async def wait_for_contact(api: ReadServices, request: ReadRequest) -> WrittenContact:
    return await api.written.written(request.tenant, await request.json())


async def wait_for_link(api: ReadServices, request: ReadRequest) -> LinkState:
    """Whether an event's identifiers show as one contact, or why not: nothing else, as a public key may ask."""
    contact = await api.written.written(request.tenant, await request.json())
    return {"linked": contact["contact"] is not None, "warnings": contact["warnings"]}


async def list_contact_segments(api: ReadServices, request: ReadRequest) -> Page[ContactSegmentShape]:
    names = _segment_names(api, request)
    return list_page(request.paging, await contacts.segments(api.reader, request.tenant, request.part("id"), names))


async def list_contacts(api: ReadServices, request: ReadRequest) -> Page[ContactShape]:
    segment = request.query.get("segment_id")
    return await contact_list.contacts(api.reader, request.tenant, request.query, request.paging, segment)


async def get_link_refusal(api: ReadServices, request: ReadRequest) -> LinkRefusal:
    a, b = request.query.get("a", ""), request.query.get("b", "")
    return {"refused": await link_refusal.is_refused(api.reader, request.tenant, a, b)}


async def get_parity(api: ReadServices, request: ReadRequest) -> ParityShape:
    return api.parity.of(request.tenant.workspace, request.tenant.environment).shape()


async def list_keys(api: ReadServices, request: ReadRequest) -> Page[KeyShape]:
    return list_page(request.paging, definitions.keys_of(api.control, request.principal.workspace))


async def list_receivers(api: ReadServices, request: ReadRequest) -> Page[ReceiverShape]:
    return list_page(request.paging, definitions.receivers_of(api.control, request.tenant))


async def get_key(api: ReadServices, request: ReadRequest) -> KeyShape:
    return definitions.key_named(api.control, request.principal.workspace, request.part("id"))


async def list_workspaces(api: ReadServices, request: ReadRequest) -> Page[WorkspaceShape]:
    return list_page(request.paging, definitions.workspaces_of(api.control))


async def get_workspace(api: ReadServices, request: ReadRequest) -> WorkspaceShape:
    return definitions.workspace_named(api.control, request.principal.workspace, request.part("id"))


async def get_usage(api: ReadServices, request: ReadRequest) -> UsageShape:
    return await usage.usage(api.reader, request.principal.workspace, request.query, now_ms())


async def get_ledger(api: ReadServices, request: ReadRequest) -> LedgerShape:
    return await ledger.ledger(api.reader, request.tenant, request.query, now_ms())


async def list_accepted_in_test(api: ReadServices, request: ReadRequest) -> TestGoodShape:
    return await trial.good(api.reader, api.control, request.tenant, request.query)


async def list_environments(api: ReadServices, request: ReadRequest) -> Page[EnvironmentShape]:
    return list_page(request.paging, definitions.environments_of(api.control, request.principal.workspace))


async def list_webhooks(api: ReadServices, request: ReadRequest) -> Page[WebhookShape]:
    return list_page(request.paging, webhooks.webhooks_of(api.control, request.tenant))


async def list_webhook_health(api: ReadServices, request: ReadRequest) -> WebhookHealthShape:
    webhook_id = request.query.get("webhook_id")
    if webhook_id is None:
        ids = [webhook["id"] for webhook in webhooks.webhooks_of(api.control, request.tenant)[:MAX_LIMIT]]
    else:
        ids = [webhook_id] if webhook_id in api.control.webhooks[request.tenant.place] else []
    return {"data": await webhook_health.health(api.reader, request.tenant, ids, now_ms())}


async def get_webhook(api: ReadServices, request: ReadRequest) -> WebhookShape:
    return serialize.webhook(_webhook(api, request))


async def list_deliveries(api: ReadServices, request: ReadRequest) -> Page[DeliveryAttemptShape]:
    webhook = _webhook(api, request)
    return await webhooks.attempts(api.reader, request.tenant, webhook, request.query, request.paging)


async def list_unsent(api: ReadServices, request: ReadRequest) -> UnsentDeliveries:
    return await webhooks.unsent(api.reader, request.tenant, _webhook(api, request), await request.json())


async def get_delivery(api: ReadServices, request: ReadRequest) -> DeliveryDetailShape:
    webhook = _webhook(api, request)
    return await webhooks.attempt(api.reader, request.tenant, webhook, request.part("delivery_id"))


async def get_task(api: ReadServices, request: ReadRequest) -> TaskShape:
    launch = api.launches.get(*request.tenant.place, request.part("id"))
    if launch is not None:
        return serialize.launch_task(launch)
    is_secret = request.principal.kind == "secret"
    return await tasks.task(api.reader, request.tenant, request.part("id"), now_ms(), any_environment=is_secret)


async def list_quarantine(api: ReadServices, request: ReadRequest) -> Page[QuarantinedShape]:
    return await _quarantine(api, request).page(request.query, request.paging)


async def get_quarantine_summary(api: ReadServices, request: ReadRequest) -> QuarantineSummaryShape:
    return await _quarantine(api, request).summary()


async def get_quarantined(api: ReadServices, request: ReadRequest) -> QuarantinedRecordShape:
    return await _quarantine(api, request).record(request.part("id"), api.control.erased)


async def plan_replay(api: ReadServices, request: ReadRequest) -> QuarantinePlanShape:
    chosen = QuarantineFilter.model_validate(await request.json())
    return await _quarantine(api, request).plan(chosen, api.control.erased)


async def get_quarantine_job(api: ReadServices, request: ReadRequest) -> QuarantineJobShape:
    job = api.jobs.get(request.principal.workspace, request.part("id"))
    if job is None:
        raise ApiError("not_found", "no such job")
    return serialize.quarantine_job(job)


def _segment_names(api: ReadServices, request: ReadRequest) -> dict[str, str]:
    return {segment.id: segment.name for segment in api.control.segments[request.tenant.place].values()}


def _quarantine(api: ReadServices, request: ReadRequest) -> QuarantineReader:
    unowned = "instance" in request.principal.scopes
    return QuarantineReader(api.reader, request.principal.workspace, unowned=unowned)


def _webhook(api: ReadServices, request: ReadRequest) -> Webhook:
    return require(api.control.webhooks[request.tenant.place], request.part("id"), "webhook")
