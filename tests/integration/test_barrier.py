"""An erasure waits for what may name its contact, and for nothing else."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.provision import create_topics
from ingest.contacts.barrier import Barrier
from schemas import topics
from schemas.records.identity import partition_of
from schemas.service.kafka import Tail
from schemas.settings import Settings
from tests.support.builders import ENVIRONMENT, WORKSPACE, cid

HOME = (WORKSPACE, ENVIRONMENT)
READ_BY = {
    topics.EVENTS: topics.IDENTITY_APP,
    topics.LINKS: topics.IDENTITY_APP,
    topics.RESOLVED: topics.SEGMENTS_APP,
    topics.CHANGES: topics.CLICKHOUSE_GROUP,
}


async def commit(settings: Settings, topic: topics.Topic, partition: int) -> None:
    """As the group that reads the topic would, when it has done all that is there."""
    at = TopicPartition(topics.name(topic, settings), partition)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        group_id=topics.app_id(READ_BY[topic], settings),
        enable_auto_commit=False,
    )
    await consumer.start()
    consumer.assign([at])
    await consumer.commit({at: (await consumer.end_offsets([at]))[at]})
    await consumer.stop()


@pytest.mark.kafka
async def test_the_backlog_of_other_partitions_is_not_waited_for(settings: Settings) -> None:
    await create_topics(settings)
    parts, links = range(settings.partitions), partition_of("/".join(HOME), settings.partitions)
    contacts = [cid(f"external_id:u{n}") for n in range(100)]
    own = partition_of(contacts[0], settings.partitions)
    other = next(contact for contact in contacts if partition_of(contact, settings.partitions) != own)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    for topic in READ_BY:
        for partition in parts:
            await producer.send_and_wait(topics.name(topic, settings), b"x", partition=partition)
    await producer.stop()
    # a group has a coordinator from its first commit on
    for topic in (topics.LINKS, topics.RESOLVED, topics.CHANGES):
        await commit(settings, topic, next(p for p in parts if p not in (own, links)))
    merges = Tail(settings, topics.MERGES, lambda _record: None)
    await merges.start()
    barrier = Barrier(settings, merges)

    async def waits(contact_id: str) -> bool:
        try:
            async with asyncio.timeout(1):
                await barrier.stored(HOME, contact_id)
        except TimeoutError:
            return True
        return False

    try:
        for partition in parts:
            assert await waits(contacts[0]), "an event of any partition may name it"
            await commit(settings, topics.EVENTS, partition)
        for topic, partition in ((topics.LINKS, links), (topics.RESOLVED, own), (topics.CHANGES, own)):
            assert await waits(contacts[0]), topic
            await commit(settings, topic, partition)
        async with asyncio.timeout(60):
            await barrier.stored(HOME, contacts[0])
        assert await waits(other)
    finally:
        await barrier.stop()
        await merges.stop()
