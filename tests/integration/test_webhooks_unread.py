"""A contact that changed while its environment had no endpoint: the first message tells what changed since."""

import itertools
from pathlib import Path

import pytest

from schemas.records.identity import partition_of
from schemas.records.records import Change
from tests.support.builders import NOW_MS, cid
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import change, process
from tests.support.waiting import eventually
from tests.support.webhook_receiver import receiver
from tests.support.webhook_sender import upstream, webhook

pytestmark = pytest.mark.kafka


async def test_a_contact_from_before_the_first_endpoint_is_known(kafka: str, tmp_path: Path) -> None:
    """While its environment has no endpoint, a contact's profile is kept unread; another environment's are sent."""
    settings = fresh_settings(tmp_path, kafka=kafka).model_copy(update={"webhook_allow_private": True})
    first = cid("external_id:first")
    names = (cid(f"external_id:other{n}") for n in itertools.count())
    partitions = settings.partitions
    other = next(name for name in names if partition_of(name, partitions) == partition_of(first, partitions))

    def snapshot(contact: str, environment: str, version: int, consent: bytes) -> Change:
        profile = b'{"external_id":"u","consents":{"email":%s},"created_ms":%d}' % (consent, NOW_MS)
        return {**change(contact, "profile", version, profile=profile), "environment": environment}

    async with upstream(settings) as up, receiver() as endpoint, process(settings, "webhooks"):
        await up.define(webhook(endpoint.url(), "contact.*", environment="other"))
        await up.changes(snapshot(first, "first", 1, b"true"), snapshot(other, "other", 1, b"true"))
        await eventually(lambda: endpoint.got, "the other contact")
        await up.define(webhook(endpoint.url(), "contact.*", environment="first"))
        await up.changes(snapshot(first, "first", 2, b"false"))
        got = await eventually(lambda: endpoint.got[2:] and endpoint.got, "three messages")
        assert [g.json["type"] for g in got] == ["contact.created", "contact.updated", "contact.unsubscribed"]
