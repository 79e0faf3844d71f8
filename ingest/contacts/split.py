"""A request to split a contact or to lift a split, and the contact's evidence in; retracting links out; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.api.requests.body import checked
from schemas.api.requests.contacts import IdentifierBody, SplitRequest
from schemas.errors import ApiError
from schemas.records import identity, records
from schemas.records.records import Identifier, Link


@dataclass(frozen=True, slots=True)
class Tie:
    """An event that ties two identifiers of the contact."""

    event_id: str
    a: Identifier
    b: Identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Events, or identifiers that leave the contact together, or identifiers whose separation from it ends."""

    evidence: tuple[str, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    lift: tuple[Identifier, ...] = ()


def parse(value: Any) -> Split:
    """Raises ``ApiError`` with the path of the wrong field."""
    if isinstance(value, dict) and len(value) != 1 and value.keys() <= SplitRequest.model_fields.keys():
        raise ApiError("missing_field", "one of evidence, identifiers and lift is needed", "evidence")
    body = checked(SplitRequest, value)
    return Split(
        evidence=tuple(body.evidence),
        identifiers=tuple(_identifier(row, f"identifiers[{n}]") for n, row in enumerate(body.identifiers)),
        lift=tuple(_identifier(row, f"lift[{n}]") for n, row in enumerate(body.lift)),
    )


def _identifier(body: IdentifierBody, path: str) -> Identifier:
    kind = identity.ALIASES.get(body.type, body.type)
    if not identity.is_type(kind):
        raise ApiError("invalid_field", "not a type of identifier", f"{path}.type")
    normal = identity.normalise(kind, body.value)
    if normal is None:
        raise ApiError("invalid_field", "not a valid identifier: it identifies nobody", f"{path}.value")
    return Identifier(type=kind, value=normal)


def chosen(split: Split, ties: Sequence[Tie]) -> list[Tie]:
    """The ties to retract; a tie without an event id means all evidence of its pair. Raises ``ApiError`` (422)."""
    if split.evidence:
        event_ids = {tie.event_id for tie in ties}
        for index, event_id in enumerate(split.evidence):
            if event_id not in event_ids:
                raise ApiError("invalid_field", "links nothing of this contact", f"evidence[{index}]")
        return [tie for tie in ties if tie.event_id in split.evidence]
    leaving = list(split.identifiers)
    for index, identifier in enumerate(leaving):
        if not any(identifier in (tie.a, tie.b) for tie in ties):
            raise ApiError("invalid_field", "no evidence links it to this contact", f"identifiers[{index}]")
    # named identifiers leave together; all of them named: each leaves alone
    cut = [tie for tie in ties if (tie.a in leaving) != (tie.b in leaving)] or ties
    return list({(str(tie.a), str(tie.b)): Tie("", tie.a, tie.b) for tie in cut}.values())


def lifted(split: Split, separated: Sequence[Tie]) -> list[Tie]:
    """The separations that end; raises ``ApiError`` (422) for an identifier that has none here."""
    for index, identifier in enumerate(split.lift):
        if not any(identifier in (tie.a, tie.b) for tie in separated):
            raise ApiError("invalid_field", "no split separates it from this contact", f"lift[{index}]")
    return [tie for tie in separated if tie.a in split.lift or tie.b in split.lift]


def links(
    ties: Sequence[Tie], workspace: str, environment: str, now_ms: int, *, kind: str = records.SPLIT
) -> list[Link]:
    return [
        Link(
            event_id=tie.event_id,
            workspace=workspace,
            environment=environment,
            kind=kind,
            at_ms=now_ms,
            a=tie.a,
            b=tie.b,
            explicit=True,
            retract=True,
        )
        for tie in ties
    ]
