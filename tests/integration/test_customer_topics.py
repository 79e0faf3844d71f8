"""Topics of customers on a real broker: what befalls one of them holds up no other, and is told as its failure."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas import topics
from schemas.settings import Settings
from sinks.webhooks.messages import Message
from sinks.webhooks.outgoing import CustomerTopics, Outgoing
from tests.support.builders import NOW_MS
from tests.support.services import fresh_settings

pytestmark = pytest.mark.kafka
PATIENCE_S = 6.0


@pytest.fixture
def settings(kafka: str, tmp_path: Path) -> Settings:
    return fresh_settings(tmp_path, kafka=kafka)


@pytest_asyncio.fixture
async def customers(settings: Settings) -> AsyncIterator[CustomerTopics]:
    sender = CustomerTopics(settings, PATIENCE_S)
    yield sender
    await sender.stop()


@pytest_asyncio.fixture
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    yield admin
    await admin.close()


def record(workspace: str, topic: str, value: bytes) -> Outgoing:
    message = Message(
        id=f"evt_{secrets.token_hex(4)}",
        type="message.requested",
        workspace=workspace,
        environment="production",
        contact_id="c",
        at_ms=NOW_MS,
        data={},
        campaign_id="cmp_1",
    )
    return Outgoing(topic, message, value)


async def delete(admin: AIOKafkaAdminClient, name: str) -> None:
    """Until a topic is gone, a broker that was asked to delete it may still take a record for it."""
    await admin.delete_topics([name])
    while name in await admin.list_topics():
        await asyncio.sleep(0.05)


async def values(settings: Settings, workspace: str, topic: str) -> list[bytes]:
    name = topics.customer(workspace, topic, settings)
    consumer = AIOKafkaConsumer(name, bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest")
    try:
        await consumer.start()
        values = []
        ends = await consumer.end_offsets(list(consumer.assignment()))
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                values += [record.value for record in records]
        return values
    finally:
        await consumer.stop()


@pytest.mark.timeout(60)
async def test_a_topic_that_was_deleted_is_made_again(
    settings: Settings, customers: CustomerTopics, admin: AIOKafkaAdminClient
) -> None:
    assert await customers.send([record("a", "mail", b"1"), record("b", "mail", b"1")]) == []
    await delete(admin, topics.customer("a", "mail", settings))
    assert await customers.send([record("a", "mail", b"2"), record("b", "mail", b"2")]) == []
    assert await values(settings, "a", "mail") == [b"2"]
    assert await values(settings, "b", "mail") == [b"1", b"2"]


@pytest.mark.timeout(60)
async def test_a_topic_that_is_lost_for_good_fails_its_own_messages_only(
    settings: Settings, customers: CustomerTopics, admin: AIOKafkaAdminClient
) -> None:
    """Deleted, and its name taken: Kafka does not tell dots from underscores."""
    assert await customers.send([record("a", "mail", b"1"), record("b", "mail", b"1")]) == []
    name = topics.customer("a", "mail", settings)
    await delete(admin, name)
    made = await admin.create_topics([NewTopic(name.replace(".", "_"), 1, 1)])
    assert made.topic_errors[0][1] == 0
    failed = await asyncio.wait_for(customers.send([record("a", "mail", b"2"), record("b", "mail", b"2")]), 40)
    assert [(outgoing_record.message.workspace, why) for outgoing_record, why in failed] == [
        ("a", "Kafka refuses the topic: InvalidTopicError")
    ]
    began = time.monotonic()
    assert len(await customers.send([record("a", "mail", b"3"), record("b", "mail", b"3")])) == 1
    assert time.monotonic() - began < PATIENCE_S, "the others are not held up again"
    assert await values(settings, "b", "mail") == [b"1", b"2", b"3"]


@pytest.mark.timeout(60)
async def test_a_record_that_is_too_large_is_its_own_failure(settings: Settings, customers: CustomerTopics) -> None:
    failed = await customers.send([record("a", "mail", b"x" * (3 << 20)), record("a", "mail", b"1")])
    assert [len(outgoing_record.value) for outgoing_record, _ in failed] == [3 << 20]
    assert await values(settings, "a", "mail") == [b"1"]
