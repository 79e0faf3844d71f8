"""The lines of the table of routes that are about webhooks; pure."""

from schemas.api.route import RouteSpec, get, write
from schemas.json_schema import TEXT, TIME, Schema, one_of

_ATTEMPTS: dict[str, Schema] = {
    "status": one_of("succeeded", "pending", "failed"),
    "type": TEXT,
    "from": TIME,
    "to": TIME,
}

WEBHOOK_READS: tuple[RouteSpec, ...] = (
    get("/v1/webhooks", "webhooks:read", "Webhook", "List webhooks", listed=True),
    get(
        "/v1/webhooks/health",
        "webhooks:read",
        "WebhookHealth",
        "Whether the oldest 100 webhooks take messages",
        {"webhook_id": TEXT},
    ),
    get("/v1/webhooks/{id}", "webhooks:read", "Webhook", "A webhook, without its secret"),
    get("/v1/webhooks/{id}/deliveries", "webhooks:read", "DeliveryAttempt", "Its attempts", _ATTEMPTS, listed=True),
    get("/v1/webhooks/{id}/deliveries/{delivery_id}", "webhooks:read", "DeliveryDetail", "An attempt in full"),
)
WEBHOOK_WRITES: tuple[RouteSpec, ...] = (
    write("POST", "/v1/webhooks", "webhooks:write", "NewWebhook", {201: "WebhookWritten"}, "Define a webhook"),
    write("PATCH", "/v1/webhooks/{id}", "webhooks:write", "WebhookEdit", {200: "WebhookWritten"}, "Change a webhook"),
    write("DELETE", "/v1/webhooks/{id}", "webhooks:write", "", {204: ""}, "Remove a webhook", errors={409: "Error"}),
    write(
        "POST",
        "/v1/webhooks/{id}/rotate",
        "webhooks:write",
        "SecretRotation",
        {200: "WebhookWritten"},
        "Replace a webhook's secret; the previous secret stays valid for a day",
        body_needed=False,
    ),
    write(
        "POST",
        "/v1/webhooks/{id}/test",
        "webhooks:write",
        "WebhookTest",
        {200: "WebhookTested"},
        "Send an example of a message now; it is not logged as a delivery",
        body_needed=False,
    ),
    write(
        "POST",
        "/v1/webhooks/{id}/deliveries/{delivery_id}/retry",
        "webhooks:write",
        "",
        {202: "RetryAccepted"},
        "Retry a delivery",
    ),
    write(
        "POST",
        "/v1/webhooks/{id}/deliveries/retry",
        "webhooks:write",
        "RetryRequest",
        {202: "RetriesAccepted"},
        "Retry failed deliveries, optionally of a type or a time",
    ),
)
