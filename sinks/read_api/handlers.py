"""Authorised requests in, the values that the read API answers out: a function for every path."""

from typing import Any

from schemas.api import serialize
from schemas.control.control_state import Webhook
from schemas.control.launch_jobs import task_shape
from schemas.control.lookup import require
from schemas.control.quarantine_jobs import QuarantineFilter, shape
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
from sinks.read_api.lists import person
from sinks.read_api.request.context import ReadRequest
from sinks.read_api.request.paging import list_page
from sinks.read_api.services import ReadServices


async def get_contact(api: ReadServices, asked: ReadRequest) -> Any:
    return await contacts.get(api.reader, asked.tenant, asked.part("id"))


async def export_contact(api: ReadServices, asked: ReadRequest) -> Any:
    names = {segment.id: segment.name for segment in api.control.segments[asked.tenant.place].values()}
    return await person.export(api.reader, asked, names)


async def list_contact_events(api: ReadServices, asked: ReadRequest) -> Any:
    return await contacts.events(api.reader, asked.tenant, asked.part("id"), asked.paging, asked.query)


async def list_events(api: ReadServices, asked: ReadRequest) -> Any:
    return await event_list.events(api.reader, asked.tenant, asked.query, asked.paging)


async def list_event_types(api: ReadServices, asked: ReadRequest) -> Any:
    return await event_types.event_types(api.reader, asked.tenant, asked.paging)


async def list_typed_columns(api: ReadServices, asked: ReadRequest) -> Any:
    return await typed_columns.typed_columns(api.reader, api.control, asked.tenant, asked.paging)


async def get_typed_column(api: ReadServices, asked: ReadRequest) -> Any:
    return await typed_columns.typed_column(api.reader, api.control, asked.tenant, asked.part("property"))


async def get_event(api: ReadServices, asked: ReadRequest) -> Any:
    return await event.event(api.reader, asked.tenant, asked.part("id"))


async def get_event_trace(api: ReadServices, asked: ReadRequest) -> Any:
    names = {segment.id: segment.name for segment in api.control.segments[asked.tenant.place].values()}
    return await trace.trace(api.reader, api.times, asked.tenant, asked.part("id"), names)


async def find_contact_ids(api: ReadServices, asked: ReadRequest) -> Any:
    return await erasures.known(api.reader, asked.tenant, asked.part("id"))


async def get_erasure(api: ReadServices, asked: ReadRequest) -> Any:
    return erasures.shown(api.control, asked.tenant, asked.part("id"), api.reader.partitions, now_ms())


async def get_identity(api: ReadServices, asked: ReadRequest) -> Any:
    return await identities.identity(api.reader, asked.tenant, asked.part("id"))


async def get_evidence(api: ReadServices, asked: ReadRequest) -> Any:
    return await identities.ties(api.reader, asked.tenant, asked.part("id"))


async def list_consents(api: ReadServices, asked: ReadRequest) -> Any:
    return await consents.consents(api.reader, asked.tenant, asked.part("id"), asked.paging)


async def find_contacts(api: ReadServices, asked: ReadRequest) -> Any:
    return await api.written.found(asked.tenant, await asked.request.json())


async def wait_for_contact(api: ReadServices, asked: ReadRequest) -> Any:
    return await api.written.written(asked.tenant, await asked.request.json())


async def wait_for_link(api: ReadServices, asked: ReadRequest) -> Any:
    """Whether an event's identifiers show as one contact, or why not: nothing else, as a public key may ask."""
    contact = await api.written.written(asked.tenant, await asked.request.json())
    return {"linked": contact["contact"] is not None, "warnings": contact["warnings"]}


async def list_contact_segments(api: ReadServices, asked: ReadRequest) -> Any:
    rows = await contacts.segments(api.reader, asked.tenant, asked.part("id"))
    segments = api.control.segments[asked.tenant.place]
    named = [{**row, "name": segments[row["id"]].name} for row in rows]
    return list_page(asked.paging, named)


async def list_contacts(api: ReadServices, asked: ReadRequest) -> Any:
    segment = asked.query.get("segment_id")
    return await contact_list.contacts(api.reader, asked.tenant, asked.query, asked.paging, segment)


async def get_link_refusal(api: ReadServices, asked: ReadRequest) -> Any:
    a, b = asked.query.get("a", ""), asked.query.get("b", "")
    return {"refused": await link_refusal.is_refused(api.reader, asked.tenant, a, b)}


async def get_parity(api: ReadServices, asked: ReadRequest) -> Any:
    return api.parity.of(asked.tenant.workspace, asked.tenant.environment).shape()


async def list_keys(api: ReadServices, asked: ReadRequest) -> Any:
    return list_page(asked.paging, definitions.keys_of(api.control, asked.principal.workspace))


async def list_receivers(api: ReadServices, asked: ReadRequest) -> Any:
    return list_page(asked.paging, definitions.receivers_of(api.control, asked.tenant))


async def get_key(api: ReadServices, asked: ReadRequest) -> Any:
    return definitions.key_named(api.control, asked.principal.workspace, asked.part("id"))


async def list_workspaces(api: ReadServices, asked: ReadRequest) -> Any:
    return list_page(asked.paging, definitions.workspaces_of(api.control))


async def get_workspace(api: ReadServices, asked: ReadRequest) -> Any:
    return definitions.workspace_named(api.control, asked.principal.workspace, asked.part("id"))


async def get_usage(api: ReadServices, asked: ReadRequest) -> Any:
    return await usage.usage(api.reader, asked.principal.workspace, asked.query, now_ms())


async def get_ledger(api: ReadServices, asked: ReadRequest) -> Any:
    return await ledger.ledger(api.reader, asked.tenant, asked.query, now_ms())


async def list_accepted_in_test(api: ReadServices, asked: ReadRequest) -> Any:
    return await trial.good(api.reader, api.control, asked.tenant, asked.query)


async def list_environments(api: ReadServices, asked: ReadRequest) -> Any:
    return list_page(asked.paging, definitions.environments_of(api.control, asked.principal.workspace))


async def list_webhooks(api: ReadServices, asked: ReadRequest) -> Any:
    return list_page(asked.paging, webhooks.webhooks_of(api.control, asked.tenant))


async def list_webhook_health(api: ReadServices, asked: ReadRequest) -> Any:
    ids = [one["id"] for one in webhooks.webhooks_of(api.control, asked.tenant)[:MAX_LIMIT]]
    return {"data": await webhook_health.health(api.reader, asked.tenant, ids, now_ms())}


async def get_webhook(api: ReadServices, asked: ReadRequest) -> Any:
    return serialize.webhook(_webhook(api, asked))


async def list_deliveries(api: ReadServices, asked: ReadRequest) -> Any:
    webhook = _webhook(api, asked)
    return await webhooks.attempts(api.reader, asked.tenant, webhook, asked.query, asked.paging)


async def list_unsent(api: ReadServices, asked: ReadRequest) -> Any:
    return await webhooks.unsent(api.reader, asked.tenant, _webhook(api, asked), await asked.request.json())


async def get_delivery(api: ReadServices, asked: ReadRequest) -> Any:
    webhook = _webhook(api, asked)
    return await webhooks.attempt(api.reader, asked.tenant, webhook, asked.part("delivery_id"))


async def get_task(api: ReadServices, asked: ReadRequest) -> Any:
    launch = api.launches.get(*asked.tenant.place, asked.part("id"))
    if launch is not None:
        return task_shape(launch)
    is_secret = asked.principal.kind == "secret"
    return await tasks.task(api.reader, asked.tenant, asked.part("id"), now_ms(), any_environment=is_secret)


async def list_quarantine(api: ReadServices, asked: ReadRequest) -> Any:
    return await _quarantine(api, asked).page(asked.query, asked.paging)


async def get_quarantine_summary(api: ReadServices, asked: ReadRequest) -> Any:
    return await _quarantine(api, asked).summary()


async def get_quarantined(api: ReadServices, asked: ReadRequest) -> Any:
    return await _quarantine(api, asked).one(asked.part("id"), api.control.erased)


async def plan_replay(api: ReadServices, asked: ReadRequest) -> Any:
    chosen = QuarantineFilter.model_validate(await asked.request.json())
    return await _quarantine(api, asked).plan(chosen, api.control.erased)


async def get_quarantine_job(api: ReadServices, asked: ReadRequest) -> Any:
    job = api.jobs.get(asked.principal.workspace, asked.part("id"))
    if job is None:
        raise ApiError("not_found", "no such job")
    return shape(job)


def _quarantine(api: ReadServices, asked: ReadRequest) -> QuarantineReader:
    unowned = "instance" in asked.principal.scopes
    return QuarantineReader(api.reader, asked.principal.workspace, unowned=unowned)


def _webhook(api: ReadServices, asked: ReadRequest) -> Webhook:
    return require(api.control.webhooks[asked.tenant.place], asked.part("id"), "webhook")
