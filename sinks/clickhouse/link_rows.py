"""Links in; columns of the tables of links and of retracted links out; pure."""

from typing import Any, Final

from schemas.records import identity
from schemas.records.records import LIFT, Identifier
from sinks.clickhouse.rows import Columns, Table

LIFTED: Final = "*"
"""Stands in place of an event id: the pair may be tied again from then on."""


def _link(links: list[Any]) -> Columns:
    columns = [
        [k[name] for k in links] for name in ("workspace", "environment", "event_id", "kind", "at_ms", "explicit")
    ]
    own = [_own_id(k, k["a"]) for k in links]
    # a new contact's first link ties its identifier to itself
    far = [a if k["a"] == k["b"] else _own_id(k, k["b"]) for k, a in zip(links, own, strict=True)]
    for side, ids in (("a", own), ("b", far)):
        columns.append(ids)
        columns.append([k[side]["type"] for k in links])
        columns.append([k[side]["value"] for k in links])
    return columns


def _own_id(link: Any, identifier: Identifier) -> str:
    return identity.contact_id(link["workspace"], link["environment"], identifier["type"], identifier["value"])


LINKS: Final = Table(
    name="links",
    columns=(
        *("workspace", "environment", "event_id", "kind", "at", "explicit"),
        *("a_id", "a_type", "a_value", "b_id", "b_type", "b_value"),
    ),
    columns_of=_link,
)


def _retracted(links: list[Any]) -> Columns:
    columns = [[k[name] for k in links] for name in ("workspace", "environment")]
    columns.append([LIFTED if k["kind"] == LIFT else k["event_id"] for k in links])
    columns.append([k["at_ms"] for k in links])
    pairs = [sorted((_own_id(k, k["a"]), _own_id(k, k["b"]))) for k in links]
    return [*columns, [a for a, _ in pairs], [b for _, b in pairs]]


RETRACTED_LINKS: Final = Table(
    name="retracted_links",
    columns=("workspace", "environment", "event_id", "at", "a_id", "b_id"),
    columns_of=_retracted,
)
