"""Due deliveries in; requests to their endpoints, and outcomes in Kafka, out.

1. Each endpoint has its own lane: a queue, a breaker and a limit of parallel requests. A slow or dead endpoint fills
   only its own lane.
2. An attempt and the delivery's new state are durable and read back before the delivery's next step. A crash before
   that repeats the attempt, with a new attempt id.
3. The queue follows from `deliveries`: this process only decides the order and time of attempts.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from schemas.control.control_state import ControlState, Webhook
from schemas.records import deliveries
from schemas.records.deliveries import WebhookDelivery
from schemas.service import clock
from schemas.service.counts import WebhookCounts
from schemas.times import parse_iso
from sinks.delivery import sign
from sinks.delivery.backoff import GONE, AttemptOutcome, after, class_of
from sinks.delivery.breaker import Breaker
from sinks.delivery.deliver import Deliverer
from sinks.webhooks.delivery_log import DeliveryLog, logged
from sinks.webhooks.launches import Launches
from sinks.webhooks.queue import Entry, Queue
from sinks.webhooks.spans import DeliveryTraces
from sinks.webhooks.store import Store
from sinks.webhooks.subscriptions import find_webhook, is_hand_over

MOST_FLYING, CROWDED_MS = 2000, 50
"""Requests under way in all lanes, and how long a lane waits that finds so many."""
EXPIRE_EVERY_S, EXPIRE_AT_ONCE = 60.0, 1000

_CREATED = b'"created_at":"'
Disable = Callable[[str, str], Awaitable[None]]
"""Switches an endpoint off: its id, and why."""


@dataclass(slots=True)
class Endpoint:
    """The queue and the state of a webhook's endpoint."""

    queue: Queue = field(default_factory=Queue)
    breaker: Breaker = field(default_factory=Breaker)
    flying: set[str] = field(default_factory=set)
    requested: set[str] = field(default_factory=set)
    """Deliveries under way for which a further attempt was requested meanwhile."""
    next: dict[str, Entry] = field(default_factory=dict)
    """New places in the queue of those under way."""
    timer: asyncio.TimerHandle | None = None


class Dispatcher:
    def __init__(
        self,
        control: ControlState,
        store: Store,
        delivery_log: DeliveryLog,
        *,
        deliverer: Deliverer,
        launches: Launches,
        disable: Disable,
        counts: WebhookCounts,
        traces: DeliveryTraces,
    ) -> None:
        self._control = control
        self._store = store
        self._delivery_log = delivery_log
        self._deliverer = deliverer
        self._launches = launches
        self._disable = disable
        self._counts = counts
        self._traces = traces
        self._endpoints: dict[str, Endpoint] = {}
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_open = False

    async def run(self) -> None:
        """Run until cancelled; raises the error that ended an attempt."""
        self._is_open = True
        for webhook_id in list(self._endpoints):
            self.pump(webhook_id)
        expiring = asyncio.create_task(self._expire(), name="expire deliveries")
        try:
            await asyncio.wait([self._ended, expiring], return_when=asyncio.FIRST_COMPLETED)
            for ended in (self._ended, expiring):
                if ended.done():
                    ended.result()
        finally:
            self._is_open = False
            expiring.cancel()

    async def drain(self, seconds: float) -> None:
        """Let running attempts end; unfinished ones are repeated after the next start."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def backlog(self) -> tuple[int, int | None]:
        """The number of waiting deliveries, and the due time (epoch ms) of the first that may be sent."""
        lanes = [
            (find_webhook(self._control, webhook_id), endpoint.queue)
            for webhook_id, endpoint in self._endpoints.items()
        ]
        due = [queue.next_due_ms for webhook, queue in lanes if webhook is not None and webhook.status != "disabled"]
        return sum(len(queue) for _, queue in lanes), min((at for at in due if at is not None), default=None)

    def queued(self, webhook_id: str, entry: Entry, *, is_requested: bool = False) -> None:
        """Queue a delivery; ``is_requested``: a client requested another attempt."""
        endpoint = self._endpoints.get(webhook_id)
        if endpoint is None:
            endpoint = self._endpoints[webhook_id] = Endpoint()
        if entry.id not in endpoint.flying:
            endpoint.queue.put(entry)
            if self._is_open:
                self.pump(webhook_id)
        elif is_requested:
            endpoint.requested.add(entry.id)
        else:
            endpoint.next[entry.id] = entry

    def changed(self) -> None:
        """Applies a change of endpoints: enabled, disabled or deleted."""
        if self._is_open:
            for webhook_id in list(self._endpoints):
                self.pump(webhook_id)

    def pump(self, webhook_id: str) -> None:
        """Starts the attempts that may start now, or sets a timer for the next one."""
        endpoint = self._endpoints[webhook_id]
        webhook = find_webhook(self._control, webhook_id)
        if webhook is None:
            self._start(self._drop(self._endpoints.pop(webhook_id)))
            return
        if webhook.status == "disabled" or not self._is_open:
            return
        now = clock.now_ms()
        while len(endpoint.flying) < endpoint.breaker.room(now) and len(self._tasks) < MOST_FLYING:
            entry = endpoint.queue.pop(now)
            if entry is None:
                break
            self._begin(webhook, endpoint, entry)
        self._look_again(webhook_id, endpoint, now)

    def _begin(self, webhook: Webhook, endpoint: Endpoint, entry: Entry) -> None:
        delivery = self._store.delivery(entry.id)
        if delivery is None or entry.id in endpoint.flying or self._is_erased(delivery):
            return
        contact = delivery["contact_id"] if not delivery["attempts"] else ""
        if not self._store.is_queued(entry):
            endpoint.queue.skip(contact)
        elif endpoint.queue.begin(contact, entry):
            endpoint.flying.add(entry.id)
            self._start(self._attempt(webhook, endpoint, delivery, contact))

    def _look_again(self, webhook_id: str, endpoint: Endpoint, now: int) -> None:
        if endpoint.timer is not None:
            endpoint.timer.cancel()
            endpoint.timer = None
        due = endpoint.queue.next_due_ms
        if due is None or (endpoint.flying and len(endpoint.flying) >= endpoint.breaker.room(now)):
            return  # the end of an attempt calls this again
        soonest = now + (CROWDED_MS if len(self._tasks) >= MOST_FLYING else 1)
        wait_ms = max(due, endpoint.breaker.opens_ms, soonest) - now
        endpoint.timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self._again, webhook_id)

    def _again(self, webhook_id: str) -> None:
        if webhook_id in self._endpoints:
            self.pump(webhook_id)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._ended.done():
            self._ended.set_exception(error)

    async def _attempt(self, webhook: Webhook, endpoint: Endpoint, delivery: WebhookDelivery, contact: str) -> None:
        at_ms = clock.now_ms()
        attempt_id = deliveries.attempt_id(delivery["id"], delivery["attempts"] + 1, secrets.token_hex(4))
        headers: dict[str, str] = {}
        try:
            is_late = self._launches.is_late(delivery, at_ms)
            body = await self._launches.body(delivery)
            headers = _headers(webhook, delivery, attempt_id, at_ms, body)
        except Exception as error:  # noqa: BLE001 - a body or a secret that cannot be used is this delivery's failure
            is_late, outcome = (
                False,
                AttemptOutcome(code=0, error=f"it cannot be signed: {type(error).__name__}", duration_ms=0),
            )
        else:
            if is_late:
                outcome = AttemptOutcome(code=0, error=deliveries.EXPIRED, duration_ms=0, expired=True)
            else:
                with self._traces.attempt(webhook.url, delivery, headers) as ended:
                    outcome = await self._deliverer.send(webhook.url, body, headers)
                    ended(outcome)
        self._judge(endpoint, outcome)
        if self._is_erased(delivery):
            # its contact was erased during the attempt
            await self._forget([delivery])
            endpoint.flying.discard(delivery["id"])
            if contact:
                endpoint.queue.end(contact)
            return
        new = after(delivery, outcome, clock.now_ms())
        if new["status"] != deliveries.PENDING:
            self._counts.deliveries[new["status"]] += 1
        if outcome.is_success and not delivery["attempts"] and (made_ms := _made_ms(delivery["body"])) is not None:
            self._counts.event_age.observe(max(0, clock.now_ms() - made_ms) / 1000)
        if outcome.expired or (new["status"] == deliveries.FAILED and is_hand_over(self._control, delivery)):
            reason = "expired" if outcome.expired else outcome.error
            await self._delivery_log.write([self._launches.failed(delivery, at_ms, reason)])
        row = logged(new, outcome, url=webhook.url, headers=headers, attempt_id=attempt_id, at_ms=at_ms)
        # the attempt first, then the state: the log may show a repeated attempt, but never lack one
        await self._delivery_log.write([self._delivery_log.attempt(row, new)])
        await self._keep(new)
        while new["id"] in endpoint.requested:
            endpoint.requested.discard(new["id"])
            await self._keep({**new, "status": deliveries.PENDING, "due_ms": clock.now_ms()})
        endpoint.flying.discard(new["id"])
        if (place := endpoint.next.pop(new["id"], None)) is not None:
            endpoint.queue.put(place)
        if contact:
            endpoint.queue.end(contact)
        if outcome.code == GONE:
            await self._disable(webhook.id, "it answered 410")
        if self._endpoints.get(webhook.id) is endpoint:
            self.pump(webhook.id)

    def _is_erased(self, delivery: WebhookDelivery) -> bool:
        return self._control.erased.covers_id(delivery["contact_id"], delivery["seq"] // 1_000_000)

    async def _keep(self, delivery: WebhookDelivery) -> None:
        """Returns when the state is durable and all earlier records, such as a retry request, have been read."""
        here = self._awaited[delivery["id"]] = asyncio.get_running_loop().create_future()
        await self._delivery_log.write([self._delivery_log.state(delivery)])
        await here

    def applied(self, delivery: WebhookDelivery) -> None:
        """Applies a delivery's new state, read from Kafka."""
        here = self._awaited.pop(delivery["id"], None)
        if here is not None and not here.done():
            here.set_result(None)

    def _judge(self, endpoint: Endpoint, outcome: AttemptOutcome) -> None:
        self._counts.attempts[class_of(outcome)] += 1
        if outcome.expired:
            return
        self._counts.seconds.observe(outcome.duration_ms / 1000)
        if outcome.is_success:
            endpoint.breaker.succeeded()
        else:
            endpoint.breaker.failed(clock.now_ms())

    async def _drop(self, endpoint: Endpoint) -> None:
        """Forgets the waiting deliveries of a deleted endpoint."""
        if endpoint.timer is not None:
            endpoint.timer.cancel()
        deliveries = (self._store.delivery(entry.id) for entry in endpoint.queue.clear())
        await self._forget([delivery for delivery in deliveries if delivery is not None])

    async def _forget(self, some: list[WebhookDelivery]) -> None:
        await self._delivery_log.write([row for delivery in some for row in self._delivery_log.forgotten(delivery)])

    async def _expire(self) -> None:
        while True:
            while some := self._store.expired(clock.now_ms(), EXPIRE_AT_ONCE):
                await self._forget(some)
                await asyncio.sleep(0.5)
            await asyncio.sleep(EXPIRE_EVERY_S)


def _headers(webhook: Webhook, delivery: WebhookDelivery, attempt_id: str, at_ms: int, body: bytes) -> dict[str, str]:
    secrets = webhook.secrets(at_ms)
    return sign.headers(event_id=delivery["event_id"], attempt_id=attempt_id, at_ms=at_ms, body=body, secrets=secrets)


def _made_ms(body: bytes) -> int | None:
    """The time of a message's cause, as ``Message.body`` writes it; ``None`` for another form of body."""
    begin = body.find(_CREATED)
    return parse_iso(body[begin + len(_CREATED) :][:24].decode("ascii", "replace")) if begin >= 0 else None
