"""Records of `control` that ask to launch a campaign in; the launches that are still open out; pure.

The edge writes a job, the sender of messages does it, page by page, and says in the same record how far it is. The ids
of its messages follow from the job's, so a page that is done twice makes the same messages. Jobs that are done go
after a while.
"""

from typing import Any, Literal, NamedTuple
from uuid import NAMESPACE_OID, UUID, uuid5

import orjson
from pydantic import BaseModel, ConfigDict, Field

from schemas.control.control_state import parse_key
from schemas.control.definitions import ControlRecord
from schemas.times import DAY_MS

KIND = "launch"
SKIPS = ("no_address", "no_consent", "capped", "gone")
"""Why a contact of the audience is not sent a message; ``gone``: it is not there any more."""
KEEP_MS, KEEP_MOST = 90 * DAY_MS, 1000
"""How long a workspace keeps finished jobs, and how many."""
MAX_OPEN = 20
"""The most unfinished jobs of a workspace."""
PREFIX = "lch_"


class Audience(BaseModel):
    """Exactly one of the three fields is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    segment: str = ""
    contact: str = ""
    rule: Any = None


class LaunchJob(ControlRecord):
    """``digest`` tells a repeat from another launch with the same id; ``after`` is the last finished contact."""

    environment: str
    campaign: str
    audience: Audience
    content: dict[str, Any] | None = None
    custom_data: dict[str, Any] | None = None
    variant: str = ""
    override_consent: bool = False
    on_entry: bool = False
    """Whether the job counts messages to contacts that enter the segment; such a job never ends."""
    key_id: str
    digest: str = ""
    total: int = 0
    after: str = ""
    launched: int = 0
    skipped: dict[str, int] = Field(default_factory=dict)
    done_ms: int = 0
    reason: str = ""
    """Why it failed."""

    @property
    def status(self) -> Literal["running", "done", "failed"]:
        return "failed" if self.reason else "done" if self.done_ms else "running"

    @property
    def done(self) -> int:
        """The number of contacts that were launched or skipped."""
        return self.launched + sum(self.skipped.values())


class MessageIds(NamedTuple):
    """The ids of a launch's message to one contact, and of the event that requests it."""

    message_id: UUID
    event_id: str


def ids_of(launch_id: str, workspace: str, campaign: str, contact_id: str, kind: str) -> MessageIds:
    """``kind`` is the event's type."""
    message_id = uuid5(NAMESPACE_OID, f"{launch_id}/{workspace}/{campaign}/{contact_id}")
    return MessageIds(message_id, f"evt_{uuid5(message_id, kind).hex}")


def job_id(workspace: str, environment: str, campaign: str, own: str) -> str:
    """Returns the job's id of a launch with a client's own id."""
    return PREFIX + uuid5(NAMESPACE_OID, f"{workspace}/{environment}/{campaign}/{own}").hex


class LaunchJobs:
    """The fold over `control`: the last record of a key wins. Unreadable records are skipped."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], LaunchJob] = {}

    def take(self, record: Any) -> None:
        """Apply a record of `control`."""
        self.apply(record.key, record.value)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record in; never raises."""
        parsed = parse_key(key)
        if parsed is None or parsed[1] != KIND:
            return
        place = parsed[0], parsed[2]
        self._all.pop(place, None)
        if value is None:
            return
        try:
            job = LaunchJob.model_validate(orjson.loads(value))
        except (ValueError, RecursionError):
            return
        if (job.workspace, job.id) == place:
            self._all[place] = job

    def get(self, workspace: str, environment: str, launch_id: str) -> LaunchJob | None:
        job = self._all.get((workspace, launch_id))
        return job if job is not None and job.environment == environment else None

    def of_campaign(self, workspace: str, environment: str, campaign: str) -> list[LaunchJob]:
        """The newest first."""
        place = (workspace, environment, campaign)
        jobs = [job for job in self._all.values() if (job.workspace, job.environment, job.campaign) == place]
        return sorted(jobs, key=lambda job: (job.created_ms, job.id), reverse=True)

    def open(self) -> list[LaunchJob]:
        """The unfinished jobs, oldest first."""
        waiting = [job for job in self._all.values() if not job.done_ms and not job.on_entry]
        return sorted(waiting, key=lambda job: (job.created_ms, job.id))

    def open_of(self, workspace: str) -> int:
        return sum(job.workspace == workspace for job in self.open())

    def outdated(self, now_ms: int) -> list[LaunchJob]:
        """The finished jobs that have been kept long enough."""
        done = sorted((job for job in self._all.values() if job.done_ms), key=lambda job: -job.done_ms)
        kept: dict[str, int] = {}
        gone = []
        for job in done:
            kept[job.workspace] = kept.get(job.workspace, 0) + 1
            if job.done_ms < now_ms - KEEP_MS or kept[job.workspace] > KEEP_MOST:
                gone.append(job)
        return gone
