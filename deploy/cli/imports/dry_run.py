"""Rows in the API's form in; the API's response to each, computed by the edge's own code, out."""

from typing import Any, Literal

import orjson

from deploy.cli.imports.batches import RefusedRow, RowBatch
from deploy.cli.imports.mapping import CONTACTS
from ingest.contacts import parse
from ingest.dialects.altacee import parse_batch
from ingest.events.canonical import Caller, canonical
from ingest.events.raw import RawEvent
from schemas.api.requests.body import checked
from schemas.api.requests.contacts import ContactUpsert
from schemas.errors import ApiError
from schemas.records import identity
from schemas.service import clock
from schemas.settings import Settings

MOST_BYTES: int = Settings.model_fields["max_event_bytes"].default
SIZED: tuple[Literal["properties", "context", "profile"], ...] = ("properties", "context", "profile")


class DryRun:
    """It cannot check whether a contact named by id exists, or belongs to this workspace: only the API knows."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._caller = Caller(
            workspace="local",
            environment="production",
            key_id="",
            source="altacee",
            now_ms=clock.now_ms(),
            max_depth=Settings.model_fields["max_depth"].default,
        )
        self.warnings = 0

    def refused(self, batch: RowBatch) -> list[RefusedRow]:
        """Returns the rows of the batch that the API would refuse."""
        problems = list(batch.problems)
        for line, item in zip(batch.lines, batch.items, strict=True):
            try:
                event, warnings = canonical(self._event(orjson.loads(item)), self._caller)
                self.warnings += bool(warnings)
                if sum(len(event[name]) for name in SIZED) > MOST_BYTES:
                    problems.append(RefusedRow(line, None, f"is larger than {MOST_BYTES} bytes", item))
            except ApiError as refused:
                problems.append(RefusedRow(line, refused.param, refused.message, item))
        return sorted(problems, key=lambda row: row.line)

    def _event(self, row: dict[str, Any]) -> RawEvent:
        if self._kind == CONTACTS:
            body = checked(ContactUpsert, row)
            parse.check_room(body, None)
            raw = parse.event_of(body, parse.identifiers_of(body), body.event_id)
        else:
            (item,) = parse_batch([row], 1).items
            if isinstance(item, ApiError):
                raise item
            raw = item
        own = [identifier for identifier in raw.identifiers if identifier[0] != identity.CONTACT_ID]
        if own != raw.identifiers:
            raw.needs_identifier = False
            raw.identifiers = own
        return raw
