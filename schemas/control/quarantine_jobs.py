"""Records of `control` that replay or discard records in quarantine in; the unfinished jobs out; pure.

The edge writes a job. A sink performs it, and writes its result into the same record. Finished jobs expire.
"""

import re
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from schemas.control.control_state import parse_key
from schemas.control.definitions import ControlRecord
from schemas.times import DAY_MS

KIND = "quarantine_job"
KEEP_MS, KEEP_MOST = 30 * DAY_MS, 1000
"""How long a workspace keeps finished jobs, and how many."""
MAX_OPEN = 20
"""Jobs of a workspace that wait at the same time."""
_ID = re.compile(r"([A-Za-z0-9._-]{1,249}):([0-9]{1,9}):([0-9]{1,18}):(-1|[0-9]{1,9})")
REPLAY, DISCARD = "replay", "discard"

QuarantineId = tuple[str, int, int, int]
"""Topic, partition, offset and index of a record in quarantine."""


class QuarantineFilter(BaseModel):
    """Which records; an empty field does not narrow the choice."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    ids: tuple[str, ...] = ()
    reason: str = ""
    topic: str = ""
    since_ms: int = 0
    until_ms: int

    @property
    def places(self) -> list[QuarantineId]:
        return [place for text in self.ids if (place := place_of(text)) is not None]


class QuarantineJob(ControlRecord):
    """``counts`` are by outcome, ``refused`` by the code of why a record was not replayed."""

    action: Literal["replay", "discard"]
    filter: QuarantineFilter
    key_id: str
    unowned: bool = False
    """Also records that name no workspace: the key may run the instance."""
    done_ms: int = 0
    counts: dict[str, int] = Field(default_factory=dict)
    refused: dict[str, int] = Field(default_factory=dict)


def place_of(text: str) -> QuarantineId | None:
    """Splits a record's id into its parts; ``None`` for other text."""
    match = _ID.fullmatch(text)
    return None if match is None else (match[1], int(match[2]), int(match[3]), int(match[4]))


def id_of(place: QuarantineId) -> str:
    return ":".join(map(str, place))


class QuarantineJobs:
    """The fold over `control`: the last record of a key wins. Unreadable records are skipped."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], QuarantineJob] = {}

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
            job = QuarantineJob.model_validate(orjson.loads(value))
        except (ValueError, RecursionError):
            return
        if (job.workspace, job.id) == place:
            self._all[place] = job

    def get(self, workspace: str, job_id: str) -> QuarantineJob | None:
        return self._all.get((workspace, job_id))

    def open(self) -> list[QuarantineJob]:
        """The open jobs, the oldest first."""
        waiting = [job for job in self._all.values() if not job.done_ms]
        return sorted(waiting, key=lambda job: (job.created_ms, job.id))

    def open_of(self, workspace: str) -> int:
        return sum(job.workspace == workspace for job in self.open())

    def outdated(self, now_ms: int) -> list[QuarantineJob]:
        """Jobs done so long ago that they need not be kept."""
        done = sorted((job for job in self._all.values() if job.done_ms), key=lambda job: -job.done_ms)
        kept: dict[str, int] = {}
        gone = []
        for job in done:
            kept[job.workspace] = kept.get(job.workspace, 0) + 1
            if job.done_ms < now_ms - KEEP_MS or kept[job.workspace] > KEEP_MOST:
                gone.append(job)
        return gone
