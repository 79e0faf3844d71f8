"""Records of each compression on a real broker: their size matches, and every reader decodes them."""

import secrets
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError

from schemas.service import kafka as clients
from tests.support.services import fresh_settings

pytestmark = pytest.mark.kafka
MOST_BYTES, VALUE = 2_000, b'{"page": "checkout"}' * 2_000


async def topic_of_small_batches(bootstrap: str) -> str:
    """Its bound is the size of a batch on the broker's disk."""
    name, admin = f"small-{secrets.token_hex(4)}", AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"max.message.bytes": str(MOST_BYTES)})])
    await admin.close()
    return name


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
async def test_a_record_takes_as_much_as_its_compression_leaves(kafka: str, tmp_path: Path, compression: str) -> None:
    settings = fresh_settings(tmp_path, kafka=kafka).model_copy(update={"kafka_compression": compression})
    topic = await topic_of_small_batches(settings.bootstrap)
    producer = clients.producer(settings)
    await producer.start()
    try:
        if compression == "none":
            with pytest.raises(MessageSizeTooLargeError):
                await producer.send_and_wait(topic, VALUE)
            return
        await producer.send_and_wait(topic, VALUE)
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        assert (await consumer.getone()).value == VALUE
    finally:
        await consumer.stop()
