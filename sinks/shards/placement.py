"""A table and a datum of Kafka in; the shard of its row out; pure.

A row's shard follows from its key alone, so repeated rows reach the same shard and collapse there. Contacts and events
are placed by the contact id of their sender, which no merge changes.
"""

from collections.abc import Callable, Mapping
from typing import Any

from schemas.records import identity
from schemas.records.identity import partition_of
from sinks.clickhouse.consent_rows import CONSENT_CHANGES
from sinks.clickhouse.link_rows import LINKS, RETRACTED_LINKS
from sinks.clickhouse.rows import CONTACTS, DELIVERY_ATTEMPTS, DUPLICATES, EVENTS, MEMBERSHIP_CHANGES, REFUSED_LINKS


def _sender(event: Any) -> str:
    return identity.own_contact_id(event) or str(event["event_id"])


def _contact(change: Any) -> str:
    return str(change["contact_id"])


def _pair(link: Any) -> str:
    of = (
        identity.contact_id(link["workspace"], link["environment"], i["type"], i["value"])
        for i in (link["a"], link["b"])
    )
    return min(of)


def _delivery(attempt: Any) -> str:
    return str(attempt["contact_id"] or attempt["delivery_id"])


KEYS: Mapping[str, Callable[[Any], str]] = {
    EVENTS.name: _sender,
    DUPLICATES.name: _sender,
    **{table.name: _contact for table in (CONTACTS, MEMBERSHIP_CHANGES, CONSENT_CHANGES, REFUSED_LINKS)},
    LINKS.name: _pair,
    RETRACTED_LINKS.name: _pair,
    DELIVERY_ATTEMPTS.name: _delivery,
}
"""By table; every shard has all rows of the others."""


def shard_of(table: str, datum: Any, shards: int) -> int:
    """Returns the shard's number from 0 on."""
    key = KEYS.get(table)
    return 0 if key is None else partition_of(key(datum), shards)
