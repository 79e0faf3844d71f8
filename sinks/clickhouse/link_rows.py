"""Links in; columns of the tables of links and of retracted links out; pure."""

from collections.abc import Sequence
from typing import Any

from schemas.records import identity
from schemas.records.records import LIFT, Identifier
from sinks.clickhouse.rows import Columns, Table

LIFTED = "*"
"""Stands in place of an event id: the pair may be tied again from then on."""


def _link(links: Sequence[Any]) -> Columns:
    columns = [
        [k[name] for k in links] for name in ("workspace", "environment", "event_id", "kind", "at_ms", "explicit")
    ]
    for side in ("a", "b"):
        columns.append([_own_id(k, k[side]) for k in links])
        columns.append([k[side]["type"] for k in links])
        columns.append([k[side]["value"] for k in links])
    return columns


def _own_id(link: Any, identifier: Identifier) -> str:
    return identity.contact_id(link["workspace"], link["environment"], identifier["type"], identifier["value"])


LINKS = Table(
    name="links",
    columns=(
        *("workspace", "environment", "event_id", "kind", "at", "explicit"),
        *("a_id", "a_type", "a_value", "b_id", "b_type", "b_value"),
    ),
    columns_of=_link,
)


def _retracted(links: Sequence[Any]) -> Columns:
    columns = [[k[name] for k in links] for name in ("workspace", "environment")]
    columns.append([LIFTED if k["kind"] == LIFT else k["event_id"] for k in links])
    columns.append([k["at_ms"] for k in links])
    pairs = [sorted((_own_id(k, k["a"]), _own_id(k, k["b"]))) for k in links]
    return [*columns, [a for a, _ in pairs], [b for _, b in pairs]]


RETRACTED_LINKS = Table(
    name="retracted_links",
    columns=("workspace", "environment", "event_id", "at", "a_id", "b_id"),
    columns_of=_retracted,
)
