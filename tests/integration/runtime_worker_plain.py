"""Settings from the environment in; a worker of plain Faust out, as its guide writes them, to see what ours answers."""

import sys
from typing import Any

import faust

from schemas.settings import Settings
from schemas.topics import app_id
from tests.integration.runtime_worker import APP, NUMBERS


def app(settings: Settings) -> Any:
    plain = faust.App(
        app_id(APP, settings),
        broker=f"aiokafka://{settings.bootstrap}",
        datadir=settings.home / "plain",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        broker_commit_interval=0.2,
    )

    async def fail(stream: Any) -> Any:
        async for value in stream:
            if b"raise" in value:
                raise ValueError("asked to")
            yield value

    plain.agent(plain.topic(settings.topic_prefix + NUMBERS.name, value_type=bytes, value_serializer="raw"))(fail)
    return plain


if __name__ == "__main__":
    faust.Worker(app(Settings()), loglevel="ERROR").execute_from_commandline()
    sys.exit(0)
