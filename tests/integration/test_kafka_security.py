"""Every kind of client reaches a broker by TLS and SASL, and one that is not let in says why."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.provision import create_topics
from schemas import topics
from schemas.service import kafka
from schemas.settings import Settings
from tests.support.certificates import Authority
from tests.support.secure_kafka import SecureKafka, secure_kafka
from tests.support.services import fresh_settings
from tests.support.waiting import eventually

pytestmark = pytest.mark.kafka

MECHANISMS = ("", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure")) as running:
        yield running


def settings_of(home: Path, **options: str) -> Settings:
    return fresh_settings(home).model_copy(update={"partitions": 1, **options})


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_topics_are_made_written_and_followed(broker: SecureKafka, tmp_path: Path, mechanism: str) -> None:
    settings = settings_of(tmp_path, **broker.options(mechanism))
    await create_topics(settings)
    read: list[bytes] = []
    tail = kafka.Tail(settings, topics.CONTROL, lambda record: read.append(record.value))
    await tail.start()
    producer, probe = await kafka.started_producer(settings), kafka.Probe(settings, topics.CONTROL)
    try:
        await producer.send_and_wait(topics.name(topics.CONTROL, settings), b"value", key=b"key")
        await tail.catch_up()
        assert read == [b"value"]
        await probe.ask()
    finally:
        await probe.stop()
        await producer.stop()
        await tail.stop()


async def refusal(settings: Settings, caplog: pytest.LogCaptureFixture, reason: str) -> str:
    """What is logged while the client waits to be let in, from when the reason is."""
    with caplog.at_level(logging.WARNING):
        waiting = asyncio.create_task(kafka.wait_for_broker(settings))
        try:
            await eventually(lambda: reason in caplog.text, "the reason of the refusal")
            assert not waiting.done()
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
    return caplog.text


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_said(
    broker: SecureKafka, tmp_path: Path, mechanism: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(tmp_path, **broker.options(mechanism) | {"kafka_password": "wrong-word"})
    assert "wrong-word" not in await refusal(settings, caplog, "uthentication")


async def test_a_broker_that_another_authority_signed_is_not_trusted(
    broker: SecureKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Authority(tmp_path / "tls", "other")
    settings = settings_of(tmp_path, **broker.options("PLAIN") | {"kafka_ca_file": str(other.certificate)})
    assert broker.sasl in await refusal(settings, caplog, "CERTIFICATE_VERIFY_FAILED")


async def test_a_client_without_its_certificate_is_not_let_in(
    broker: SecureKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(tmp_path, **broker.options("") | {"kafka_cert_file": "", "kafka_key_file": ""})
    assert "aiokafka" in await refusal(settings, caplog, broker.tls)
