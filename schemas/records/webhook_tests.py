"""A test of a webhook and its result in, Kafka values out, and back; pure."""

from typing import cast

from schemas.records.codec import WEBHOOK_TEST, WEBHOOK_TEST_RESULT
from schemas.records.deliveries import WebhookTestRequest, WebhookTestResult


def encode_webhook_test(test: WebhookTestRequest) -> bytes:
    return WEBHOOK_TEST.encode(test)


def decode_webhook_test(data: bytes) -> WebhookTestRequest:
    return cast("WebhookTestRequest", WEBHOOK_TEST.decode(data))


def encode_webhook_test_result(result: WebhookTestResult) -> bytes:
    return WEBHOOK_TEST_RESULT.encode(result)


def is_webhook_test_result(data: bytes) -> bool:
    """Whether a record of `receipts` is a test's result and not a batch of receipts."""
    return data.startswith(WEBHOOK_TEST_RESULT.header)


def decode_webhook_test_result(data: bytes) -> WebhookTestResult:
    return cast("WebhookTestResult", WEBHOOK_TEST_RESULT.decode(data))
