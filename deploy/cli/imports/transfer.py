"""Batches in; stored rows, and their outcomes, out.

1. ``PARALLEL`` requests run at a time. After 429, 503 or a broken connection a request is sent again: ids make that
   harmless.
2. An accepted batch names a task. The transfer polls tasks in the order of the file, so all rows before a checkpoint
   are settled. At most ``UNSETTLED`` tasks wait: memory stays flat, and a slow pipeline slows the sender.
3. Refused rows are written when their batch is settled, so the checkpoint also holds that file's length.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from deploy.cli.imports.batches import RefusedRow, RowBatch
from deploy.cli.imports.checkpoint import Checkpoint
from deploy.cli.imports.mapping import EVENTS
from deploy.client.api import ApiClient, ApiUnreachableError, refusal

PARALLEL, UNSETTLED = 4, 40
FIRST_LOOK_S, LONGEST_LOOK_S = 0.1, 1.0
STALLED_S = 180.0
CONFLICT = "event_id_conflict"


class ImportStalledError(Exception):
    """Accepted rows do not become readable; none of them is lost."""


@dataclass(slots=True)
class PostedBatch:
    """A batch with its response."""

    batch: RowBatch
    tasks: list[str] = field(default_factory=list)
    accepted: int = 0
    warnings: int = 0
    refused: list[RefusedRow] = field(default_factory=list)
    resent: bool = False
    """Whether some of it may have been taken before."""


class Transfer:
    """The transfer of one file."""

    def __init__(
        self,
        client: ApiClient,
        kind: str,
        checkpoint: Checkpoint,
        refused: Callable[[], BinaryIO],
        settled: Callable[[], None],
    ) -> None:
        """``refused`` opens the file of refused rows; ``settled`` runs after each batch."""
        self._client = client
        self._kind = kind
        self._checkpoint = checkpoint
        self._refused = refused
        self._settled = settled
        # batches under way at the end of an earlier run are sent again
        self._again = PARALLEL + UNSETTLED if checkpoint.line else 0

    async def run(self, batches: Iterator[RowBatch]) -> None:
        """Sends all batches; raises ``ApiRefusedError``, ``ApiUnreachableError`` and ``ImportStalledError``."""
        queue: asyncio.Queue[PostedBatch | None] = asyncio.Queue(UNSETTLED)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._settle(queue))
                await self._post_all(batches, queue, group)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _post_all(
        self, batches: Iterator[RowBatch], queue: "asyncio.Queue[PostedBatch | None]", group: asyncio.TaskGroup
    ) -> None:
        under_way: deque[asyncio.Task[PostedBatch]] = deque()
        for batch in batches:
            if len(under_way) >= PARALLEL:
                await queue.put(await under_way.popleft())
            under_way.append(group.create_task(self._post(batch)))
            await asyncio.sleep(0)  # reading uses the CPU: this gives responses a turn
        while under_way:
            await queue.put(await under_way.popleft())
        await queue.put(None)

    async def _post(self, batch: RowBatch) -> PostedBatch:
        posted = PostedBatch(batch, refused=list(batch.problems), resent=self._again > 0)
        self._again -= 1
        parts = [batch] if batch.items else []
        while parts:
            part = parts.pop(0)
            status, answer, attempts = await self._client.ask(
                "POST",
                f"/v1/{self._kind}/batch",
                part.body(self._kind),
                query={"task": "true"} if self._kind == EVENTS else None,
            )
            posted.resent |= attempts > 1
            if status == 413 and len(part.items) > 1:
                parts = [*part.halves(), *parts]
            elif status in (429, 503):
                raise ApiUnreachableError(f"{self._client.access.url} keeps answering {status}")
            elif "results" in answer:
                _note(posted, part, answer)
            elif status == 413:
                reason = str(answer.get("error", {}).get("message", "too large"))
                posted.refused.append(RefusedRow(part.lines[0], None, reason, part.items[0]))
            else:
                raise refusal(status, answer)
        batch.items.clear()
        return posted

    async def _settle(self, queue: "asyncio.Queue[PostedBatch | None]") -> None:
        while (posted := await queue.get()) is not None:
            totals, stored, conflicts = self._checkpoint.totals, 0, 0
            for task in posted.tasks:
                events = await self._finished(task)
                stored += sum(event["disposition"] == "stored" for event in events)
                conflicts += sum(event["reason"] == CONFLICT for event in events)
            if posted.refused:
                file = self._refused()
                for row in sorted(posted.refused, key=lambda refusal: refusal.line):
                    file.write(row.to_json())
                file.flush()
                self._checkpoint.refused_bytes = file.tell()
            totals.sent += posted.accepted + len(posted.refused)
            totals.stored += stored
            totals.duplicate += posted.accepted - stored
            totals.refused += len(posted.refused)
            totals.conflicts += conflicts
            totals.resent += posted.accepted - stored if posted.resent else 0
            totals.warnings += posted.warnings
            self._checkpoint.line = posted.batch.last_line
            self._settled()

    async def _finished(self, task: str) -> list[dict[str, Any]]:
        """Returns the outcomes of a task's events, once all are known."""
        loop = asyncio.get_running_loop()
        pause, done, moved = FIRST_LOOK_S, -1, loop.time()
        while True:
            answer = await self._client.call("GET", f"/v1/tasks/{task}")
            if answer["status"] != "pending":
                events: list[dict[str, Any]] = answer["events"]
                return events
            if answer["progress"]["done"] > done:
                done, moved = answer["progress"]["done"], loop.time()
            if loop.time() - moved > STALLED_S:
                raise ImportStalledError(
                    f"{answer['progress']['total'] - done} rows that were taken cannot be read after {STALLED_S:g} s; "
                    "they are kept, and the same command goes on: headwater doctor says what is wrong"
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_LOOK_S)


def _note(posted: PostedBatch, part: RowBatch, answer: dict[str, Any]) -> None:
    for result in answer["results"]:
        error = result.get("error")
        if error is None:
            posted.accepted += 1
            posted.warnings += bool(result.get("warnings"))
            continue
        at = result["index"]
        place = str(error.get("param") or "").partition("]")[2].removeprefix(".")
        posted.refused.append(RefusedRow(part.lines[at], place or None, error["message"], part.items[at]))
    if answer.get("task_id"):
        posted.tasks.append(answer["task_id"])
