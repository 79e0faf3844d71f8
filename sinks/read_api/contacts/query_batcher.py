"""Queries of many requests in, few batched queries out: all that arrive while one runs share the next one.

1. A query answers only questions that arrived before it began, so each answer shows earlier writes.
2. A single question runs at once. The next round waits ``REST`` times as long as the last one took, so questions of
   waiting writes take at most a fifth of the database's time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

from sinks.read_api.request.tenant import Tenant

MOST = 250
"""Questions in one round: their identifiers have to fit into a request's parameters."""
REST = 4.0
LONGEST_REST_S = 0.25
Q = TypeVar("Q")
A = TypeVar("A")
Ask = Callable[[Tenant, Sequence[Q]], Awaitable[Sequence[A]]]
"""The answers to some questions of one home, in their order."""


@dataclass(frozen=True, slots=True)
class _PendingQuery(Generic[Q, A]):
    tenant: Tenant
    question: Q
    answer: asyncio.Future[A]


class QueryBatcher(Generic[Q, A]):
    """Batches the questions of one kind, per tenant: no workspace waits for another."""

    def __init__(self, ask: Ask[Q, A]) -> None:
        self._ask = ask
        self._waiting: dict[tuple[str, str], list[_PendingQuery[Q, A]]] = {}
        self._rounds: set[asyncio.Task[None]] = set()

    async def ask(self, tenant: Tenant, question: Q) -> A:
        """Raises the errors of the question's query."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        pending: _PendingQuery[Q, A] = _PendingQuery(tenant, question, future)
        key = (tenant.workspace, tenant.environment)
        if key in self._waiting:
            self._waiting[key].append(pending)
        else:
            self._waiting[key] = [pending]
            # a round serves many requests, and belongs to none of them
            task = asyncio.create_task(self._run(key), context=Context())
            self._rounds.add(task)
            task.add_done_callback(self._rounds.discard)
        return await future

    async def _run(self, key: tuple[str, str]) -> None:
        """Runs rounds until no question arrives during the rest after a round."""
        loop = asyncio.get_running_loop()
        while waiting := self._waiting[key]:
            self._waiting[key] = waiting[MOST:]
            began = loop.time()
            await self._round([pending for pending in waiting[:MOST] if not pending.answer.done()])
            await asyncio.sleep(min(LONGEST_REST_S, REST * (loop.time() - began)))
        del self._waiting[key]

    async def _round(self, some: Sequence[_PendingQuery[Q, A]]) -> None:
        if not some:
            return
        try:
            answers = await self._ask(some[-1].tenant, [pending.question for pending in some])
        except Exception as error:  # noqa: BLE001 - it is raised where the questions were asked
            for pending in some:
                if not pending.answer.done():
                    pending.answer.set_exception(error)
        else:
            for pending, answer in zip(some, answers, strict=True):
                if not pending.answer.done():
                    pending.answer.set_result(answer)
