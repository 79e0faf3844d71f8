"""A task id in; the state of its request's events out."""

from typing import Any
from uuid import UUID

from schemas import topics
from schemas.api.answers.events import TaskShape
from schemas.errors import ApiError
from schemas.ids import count_of, uuid7_ms
from schemas.records.sameness import CONFLICT, key_from
from schemas.times import CLOCK_SKEW_MS
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.tenant import Tenant

_TASK = """
SELECT event_id, type, own_contact_id AS sender, 'stored' AS disposition, 0 AS conflict FROM events
WHERE workspace = {workspace:String} AND ({any:UInt8} OR environment = {environment:String})
    AND _task_id = {task:String} LIMIT 1 BY event_id, type, sender
UNION ALL
SELECT event_id, type, own_contact_id AS sender, 'duplicate' AS disposition, max(event_id_conflict) AS conflict
FROM duplicates
WHERE workspace = {workspace:String} AND ({any:UInt8} OR environment = {environment:String})
    AND _task_id = {task:String} GROUP BY event_id, type, sender
"""


async def task(reader: ClickHouseReader, tenant: Tenant, text: str, now_ms: int, *, any_environment: bool) -> TaskShape:
    """Completed when each of its events is stored or known as a duplicate.

    ``any_environment``: a secret key writes to all of its workspace's environments, so its tasks may be of each.
    Raises ``ApiError`` (404) for an unknown id, and for a task older than the retention of events.
    """
    task_id = _task_id(text, now_ms)
    rows = await reader.rows(_TASK, **tenant.parameters, task=task_id, any=int(any_environment))
    if not rows and now_ms - uuid7_ms(UUID(task_id)) > (topics.RESOLVED.retention_ms or 0):
        raise ApiError("not_found", "no such task")
    done, total = len(set(map(_key, rows))), count_of(UUID(task_id))
    return {
        "task_id": task_id,
        "status": "completed" if done >= total else "pending",
        "progress": {"total": total, "done": min(done, total)},
        "events": [
            {
                "event_id": row["event_id"],
                "disposition": row["disposition"],
                "reason": CONFLICT if row["conflict"] else None,
            }
            for row in sorted(rows, key=_key)
        ],
    }


def _key(row: dict[str, Any]) -> str:
    return key_from(row["event_id"], row["type"], row["sender"])


def _task_id(text: str, now_ms: int) -> str:
    try:
        uuid = UUID(text)
    except ValueError:
        uuid = UUID(int=0)
    if uuid.version != 7 or uuid7_ms(uuid) > now_ms + CLOCK_SKEW_MS:
        raise ApiError("not_found", "no such task")
    return str(uuid)
