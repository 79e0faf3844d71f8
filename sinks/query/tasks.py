"""A task id in; what became of the events of that request out."""

from typing import Any
from uuid import UUID

from schemas import topics
from schemas.errors import Refused
from schemas.ids import count_of, uuid7_ms
from sinks.query.reader import Reader

CLOCKS_MS = 5_000
"""How far another machine's clock may be ahead."""

_TASK = """
SELECT event_id, 'stored' AS disposition FROM events
WHERE workspace = {workspace:String} AND _task_id = {task:String} LIMIT 1 BY event_id
UNION ALL
SELECT event_id, 'duplicate' AS disposition FROM duplicates
WHERE workspace = {workspace:String} AND _task_id = {task:String} LIMIT 1 BY event_id
"""


async def task(reader: Reader, workspace: str, text: str, now_ms: int) -> dict[str, Any]:
    """Completed when each of its events is stored or known as a duplicate.

    Raises ``Refused`` (404) for what was never given out, and for what is older than the events are kept.
    """
    task_id = _task_id(text, now_ms)
    rows = await reader.rows(_TASK, workspace=workspace, task=task_id)
    if not rows and now_ms - uuid7_ms(UUID(task_id)) > (topics.RESOLVED.retention_ms or 0):
        raise Refused("not_found", "no such task")
    return {
        "task_id": task_id,
        "status": "completed" if len({row["event_id"] for row in rows}) >= count_of(UUID(task_id)) else "pending",
        "events": [{**row, "reason": None} for row in sorted(rows, key=lambda r: str(r["event_id"]))],
    }


def _task_id(text: str, now_ms: int) -> str:
    try:
        found = UUID(text)
    except ValueError:
        found = UUID(int=0)
    if found.version != 7 or uuid7_ms(found) > now_ms + CLOCKS_MS:
        raise Refused("not_found", "no such task")
    return str(found)
