"""The edge's parts in; the routes of all writes other than events out."""

from starlette.routing import Route

from ingest.contacts.routes import ContactRoutes
from ingest.contacts.split_routes import SplitRoutes
from ingest.contacts.static_segments import StaticSegmentRoutes
from ingest.control.access_routes import AccessRoutes
from ingest.control.campaign_routes import CampaignRoutes
from ingest.control.segment_routes import SegmentRoutes
from ingest.control.trial_routes import TestEnvironmentRoutes
from ingest.control.typed_columns import TypedColumnRoutes
from ingest.control.value_list_routes import ValueListRoutes
from ingest.control.webhook_routes import WebhookRoutes
from ingest.control.writer import ControlWriter
from ingest.events.edge import Edge
from ingest.http.read_api import ReadApiClient
from ingest.receivers.endpoint import Receivers
from schemas.service.kafka import Tail


def write_routes(edge: Edge, read_api: ReadApiClient, writer: ControlWriter, control: Tail) -> list[Route]:
    """Write routes other than events. Unmatched paths go to the read API."""
    pages, people, access = (
        SegmentRoutes(edge, read_api, writer),
        ContactRoutes(edge, read_api),
        AccessRoutes(edge, writer, control.catch_up),
    )
    webhooks = WebhookRoutes(edge, pages, read_api, writer, control)
    campaign, trial = CampaignRoutes(edge, read_api, writer), TestEnvironmentRoutes(edge, read_api, writer)
    receivers, static = Receivers(edge, writer), StaticSegmentRoutes(edge, read_api)
    typed = TypedColumnRoutes(edge, writer)
    return [
        # the most frequent first: routes are tried in their order, a microsecond each
        Route("/v1/contacts", people.upsert, methods=["POST"]),
        Route("/v1/contacts/{id:path}/split", SplitRoutes(edge, read_api).split_contact, methods=["POST"]),
        Route("/v1/contacts/{id:path}", people.edit, methods=["PATCH"]),
        Route("/v1/segments", pages.create_segment, methods=["POST"]),
        Route("/v1/segments/{id}", pages.edit_segment, methods=["PATCH"]),
        Route("/v1/segments/{id}", pages.delete_segment, methods=["DELETE"]),
        Route("/v1/segments/{id}/contacts", static.add, methods=["POST"]),
        Route("/v1/segments/{id}/contacts", static.remove, methods=["DELETE"]),
        *ValueListRoutes(edge, pages, read_api, writer, control.catch_up).routes(),
        Route("/v1/webhooks", webhooks.create, methods=["POST"]),
        Route("/v1/webhooks/{id}", webhooks.edit, methods=["PATCH"]),
        Route("/v1/webhooks/{id}", webhooks.delete, methods=["DELETE"]),
        Route("/v1/webhooks/{id}/rotate", webhooks.rotate, methods=["POST"]),
        Route("/v1/webhooks/{id}/test", webhooks.test, methods=["POST"]),
        Route("/v1/webhooks/{id}/deliveries/retry", webhooks.retry_all, methods=["POST"]),
        Route("/v1/webhooks/{id}/deliveries/{delivery_id}/retry", webhooks.retry, methods=["POST"]),
        Route("/v1/receivers", receivers.create, methods=["POST"]),
        Route("/v1/receivers/{id}", receivers.delete, methods=["DELETE"]),
        Route("/v1/receivers/{provider}/{id}", receivers.receive, methods=["POST"]),
        Route("/v1/campaigns", campaign.create, methods=["POST"]),
        Route("/v1/campaigns/{id}", campaign.edit, methods=["PATCH"]),
        Route("/v1/keys", access.create_key, methods=["POST"]),
        Route("/v1/keys/{id}", access.revoke_key, methods=["DELETE"]),
        Route("/v1/environments", access.create_environment, methods=["POST"]),
        Route("/v1/test/counts", trial.counts, methods=["GET"]),
        Route("/v1/test/bad", trial.bad, methods=["GET"]),
        Route("/v1/test/reset", trial.reset, methods=["POST"]),
        Route("/v1/workspaces", access.create_workspace, methods=["POST"]),
        Route("/v1/workspaces/{id}", access.edit_workspace, methods=["PATCH"]),
        Route("/v1/typed-columns/{property:path}", typed.put, methods=["PUT"]),
        Route("/v1/typed-columns/{property:path}", typed.delete, methods=["DELETE"]),
    ]
