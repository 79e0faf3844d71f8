"""A contact's entry into a segment and the campaigns in; the campaigns that it launches out; pure.

1. A campaign that names the segment is launched to each contact that enters while the campaign is active.
2. An entry's id follows from its cause, and the ids of its messages from it: an entry that is read again launches once.
3. Contacts that match a new or edited rule at once are entries only if the segment has ``include_existing``, as for
   webhooks.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.control.control_state import ControlState
from schemas.control.launch_jobs import PREFIX, Audience, LaunchJob, job_id

ENTRY = b"entry/"
"""Begins the keys of entries on `launches`."""
SKEW_MS = 5000
"""How far the clocks of the edge and of a stage may be apart."""


class LaunchEntry(BaseModel):
    """``partition`` and ``offset`` are the change's on `changes`: tables up to this offset show the contact."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: str
    workspace: str
    environment: str
    campaign: str
    segment: str
    contact: str
    at_ms: int
    partition: int
    offset: int

    @property
    def key(self) -> bytes:
        return ENTRY + f"{self.campaign}/{self.id}".encode()

    @property
    def value(self) -> bytes:
        return self.model_dump_json().encode()

    @property
    def job(self) -> LaunchJob:
        """The launch of this one message."""
        return LaunchJob(
            id=PREFIX + self.id.removeprefix("evt_"),
            workspace=self.workspace,
            environment=self.environment,
            created_ms=self.at_ms,
            campaign=self.campaign,
            audience=Audience(contact=self.contact),
            key_id="",
        )


class EntryPlace(NamedTuple):
    """The place of the record on `changes`; ``time_ms`` is the record's timestamp."""

    partition: int
    offset: int
    time_ms: int


def entries(
    control: ControlState, home: tuple[str, str], data: dict[str, Any], entry_id: str, place: EntryPlace
) -> Iterator[LaunchEntry]:
    """Yields an entry for each campaign that launches on it; ``data`` comes from the message ``segment.entered``."""
    for campaign in control.campaigns[home].values():
        if campaign.launch_on_entry != data["segment_id"] or campaign.status != "active" or not campaign.delivery:
            continue
        if place.time_ms < campaign.entry_since_ms - SKEW_MS:
            continue
        yield LaunchEntry(
            id=entry_id,
            workspace=home[0],
            environment=home[1],
            campaign=campaign.id,
            segment=data["segment_id"],
            contact=data["contact_id"],
            at_ms=place.time_ms,
            partition=place.partition,
            offset=place.offset,
        )


def entry_of(value: bytes) -> LaunchEntry | None:
    """The entry; ``None`` for bytes of another version, or malformed ones."""
    try:
        return LaunchEntry.model_validate(orjson.loads(value))
    except (ValidationError, ValueError):
        return None


def standing_job(entry: LaunchEntry) -> LaunchJob:
    """The record that counts all entries of a campaign, before the first."""
    home = (entry.workspace, entry.environment)
    return LaunchJob(
        id=job_id(*home, entry.campaign, "on_entry"),
        workspace=entry.workspace,
        environment=entry.environment,
        created_ms=entry.at_ms,
        campaign=entry.campaign,
        audience=Audience(segment=entry.segment),
        on_entry=True,
        key_id="",
    )
