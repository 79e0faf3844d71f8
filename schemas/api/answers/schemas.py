"""The types of all answers in, their JSON Schemas out; pure.

`tests/e2e/test_described_api.py` checks real responses against them: a handler's field without a type fails there.
"""

from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from schemas.api.answers import (
    access,
    campaigns,
    contacts,
    events,
    fields,
    lists,
    live,
    operations,
    quarantine,
    segments,
    webhooks,
)
from schemas.json_schema import Schema

SHAPES: dict[str, Any] = {
    "Error": fields.ErrorShape,
    "Health": operations.HealthShape,
    "EventAccepted": events.EventAcceptedShape,
    "BatchAccepted": events.BatchAcceptedShape,
    "BatchRefused": events.BatchRefused,
    "Task": events.TaskShape,
    "Contact": contacts.ContactShape,
    "ContactWritten": contacts.ContactWrittenShape,
    "ContactsTaken": contacts.ContactsTakenShape,
    "ContactsRefused": contacts.ContactsRefused,
    "ContactLater": contacts.ContactLaterShape,
    "ContactEvent": events.ContactEventShape,
    "StoredEvent": events.StoredEventShape,
    "EventType": events.EventTypeShape,
    "TypedColumn": events.TypedColumnShape,
    "ContactSegment": contacts.ContactSegmentShape,
    "ContactConsent": contacts.ContactConsentShape,
    "Erasure": contacts.ErasureShape,
    "ContactIdentity": contacts.ContactIdentityShape,
    "ContactTies": contacts.ContactTiesShape,
    "Listed": contacts.ListedShape,
    "SplitDone": contacts.SplitDoneShape,
    "Segment": segments.SegmentShape,
    "Explanation": segments.ExplanationShape,
    "Preview": segments.PreviewShape,
    "Parity": segments.ParityShape,
    "CampaignStats": campaigns.CampaignStatsShape,
    "Campaign": campaigns.CampaignShape,
    "CampaignDelivery": campaigns.CampaignDeliveryShape,
    "CampaignSeries": campaigns.CampaignSeriesShape,
    "Launch": campaigns.LaunchShape,
    "LaunchAnswer": campaigns.LaunchAnswer,
    "LaunchPlan": campaigns.LaunchPlanShape,
    "ValueList": lists.ValueListShape,
    "ListedValue": lists.ListedValueShape,
    "Webhook": webhooks.WebhookShape,
    "WebhookHealth": webhooks.WebhookHealthShape,
    "WebhookWritten": webhooks.WebhookWrittenShape,
    "Receiver": webhooks.ReceiverShape,
    "ReceiverMade": webhooks.ReceiverMadeShape,
    "Received": webhooks.ReceivedShape,
    "Key": access.KeyShape,
    "KeyMade": access.KeyMadeShape,
    "Environment": access.EnvironmentShape,
    "TestGood": access.TestGoodShape,
    "TestBad": access.TestBadShape,
    "TestCounts": access.TestCountsShape,
    "TestReset": access.TestResetShape,
    "Workspace": access.WorkspaceShape,
    "WorkspaceMade": access.WorkspaceMadeShape,
    "ContactExport": contacts.ContactExportShape,
    "DeliveryAttempt": webhooks.DeliveryAttemptShape,
    "DeliveryDetail": webhooks.DeliveryDetailShape,
    "WebhookTested": webhooks.WebhookTestedShape,
    "RetriesAccepted": webhooks.RetriesAcceptedShape,
    "RetryAccepted": webhooks.RetryAcceptedShape,
    "EventTrace": events.EventTraceShape,
    "SegmentHistory": segments.SegmentHistoryShape,
    "SegmentChange": segments.SegmentChangeShape,
    "Usage": operations.UsageShape,
    "Ledger": operations.LedgerShape,
    "LiveLine": live.LiveLine,
    "Quarantined": quarantine.QuarantinedShape,
    "QuarantinedRecord": quarantine.QuarantinedRecordShape,
    "QuarantineSummary": quarantine.QuarantineSummaryShape,
    "QuarantineJob": quarantine.QuarantineJobShape,
    "QuarantinePlan": quarantine.QuarantinePlanShape,
    "QuarantineOutcome": quarantine.QuarantineOutcome,
    "Document": operations.DocumentShape,
    "GraphQLAnswer": operations.GraphQLAnswerShape,
}
"""Each answer by the name that OpenAPI and the table of routes give it; a list's answers are ``TypedDict``s."""
_SUFFIX = "Shape"
_MODE: JsonSchemaMode = "validation"


class _PublicNames(GenerateJsonSchema):
    def normalize_name(self, name: str) -> str:
        return super().normalize_name(name).removesuffix(_SUFFIX)


@cache
def answer_schemas() -> dict[str, Schema]:
    """Returns schemas by name: each response of ``SHAPES``, and their shared parts."""
    adapters = [(name, _MODE, TypeAdapter(shape)) for name, shape in SHAPES.items()]
    schemas, parts = TypeAdapter.json_schemas(
        adapters, ref_template="#/components/schemas/{model}", schema_generator=_PublicNames
    )
    shapes: dict[str, Schema] = parts["$defs"]
    return {**shapes, **{name: schemas[name, _MODE] for name in SHAPES if name not in shapes}}
