"""Receipts from the sink in; requests with `sync=true` that wait for them resumed, and those that try a webhook.

A receipt's ``event_id`` is the event's key (`schemas/records/sameness.py`), as an id may come twice in a request.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from schemas.records.codec import UndecodableError, decode_receipts
from schemas.records.deliveries import WebhookTestResult
from schemas.records.records import APPLIED, STORED, Receipt
from schemas.records.webhook_tests import decode_webhook_test_result, is_webhook_test_result


@dataclass(slots=True)
class Waiter:
    """A waiting request: done when each of its events is stored and applied."""

    missing: set[tuple[str, str]]
    done: asyncio.Future[None]
    entered: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)
    contacts: dict[str, bytes] = field(default_factory=dict)
    """For writes of a contact: the contact after the write, as JSON."""


class Receipts:
    """The waiting requests of this edge, by task id."""

    def __init__(self, instance: str) -> None:
        self._instance = instance.encode()
        self._waiters: dict[str, Waiter] = {}
        self._tests: dict[str, asyncio.Future[WebhookTestResult]] = {}

    def expect(self, task_id: str, keys: list[str]) -> Waiter:
        """Called before the events are published, or a fast receipt would come too early."""
        missing = {(key, stage) for key in keys for stage in (STORED, APPLIED)}
        waiter = Waiter(missing, asyncio.get_running_loop().create_future())
        self._waiters[task_id] = waiter
        return waiter

    async def wait(self, task_id: str, timeout_s: float) -> bool:
        """Whether everything arrived in time; forgets the waiter either way."""
        try:
            await asyncio.wait_for(self._waiters[task_id].done, timeout_s)
        except TimeoutError:
            return False
        finally:
            self.forget(task_id)
        return True

    def forget(self, task_id: str) -> None:
        self._waiters.pop(task_id, None)

    def expect_test(self, test_id: str) -> "asyncio.Future[WebhookTestResult]":
        """The result of a test message to a webhook; called before the request for it is published."""
        future: asyncio.Future[WebhookTestResult] = asyncio.get_running_loop().create_future()
        self._tests[test_id] = future
        future.add_done_callback(lambda _: self._tests.pop(test_id, None))
        return future

    def apply(self, record: Any) -> None:
        """Apply one record of the `receipts` topic; those of other edges are skipped."""
        if record.key != self._instance or record.value is None:
            return
        try:
            if is_webhook_test_result(record.value):
                self._take_result(decode_webhook_test_result(record.value))
                return
            receipts = decode_receipts(record.value)
        except UndecodableError:
            return  # an unreadable receipt names no request, which then ends with a task id
        for receipt in receipts:
            self._take(receipt)

    def _take_result(self, result: WebhookTestResult) -> None:
        future = self._tests.get(result["id"])
        if future is not None and not future.done():
            future.set_result(result)

    def _take(self, receipt: Receipt) -> None:
        waiter = self._waiters.get(receipt["task_id"])
        if waiter is None:
            return
        key = receipt["event_id"]
        waiter.missing.discard((key, receipt["stage"]))
        if receipt["stage"] == APPLIED:
            # of copies in one request the copy that changed something comes first
            waiter.entered.setdefault(key, receipt["entered"])
            waiter.left.setdefault(key, receipt["left"])
            if contact := receipt.get("contact"):
                waiter.contacts[key] = contact
        if not waiter.missing and not waiter.done.done():
            waiter.done.set_result(None)
