"""A process's common first and last lines: logging set up, readiness announced."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from schemas.control import sealing
from schemas.errors import CannotStart
from schemas.service.clickhouse_auth import database_connection
from schemas.service.kafka import Tail
from schemas.service.kafka_auth import connection
from schemas.settings import Settings, complaints, strangers

log = logging.getLogger(__name__)

LIBRARIES = ("aiokafka", "faust", "mode", "asyncio", "httpx", "urllib3", "clickhouse_connect")
BURST = 5
WINDOW_S = 10.0


class Throttle(logging.Filter):
    """At most ``BURST`` records of one message template in ``WINDOW_S``; the next one tells how many were left out.

    aiokafka says several hundred times a second that the broker is away, while it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; a template's window starts with its first record."""
        if not record.name.startswith(LIBRARIES):
            return True
        template = (record.name, record.msg)
        now = time.monotonic()
        began, count = self._seen.get(template, (now, 0))
        if now - began >= WINDOW_S:
            if count > BURST:
                record.msg = f"{record.msg} ({count - BURST} more like this were left out)"
            began, count = now, 0
        self._seen[template] = (began, count + 1)
        return count < BURST


def read_settings() -> Settings:
    """The environment's; ends the process with a line for each variable that is wrong."""
    for unknown, nearest in strangers(os.environ):
        hint = f"; do you mean {nearest}?" if nearest else ""
        sys.stderr.write(f"{unknown} is no setting and has no effect{hint}\n")
    try:
        settings = Settings()
        connection(settings)
        database_connection(settings)
    except ValidationError as error:
        sys.exit("\n".join(complaints(error)))
    except CannotStart as error:  # a certificate or a password that is not where it should be
        sys.exit(str(error))
    sealing.use(settings.secret_keys)
    return settings


def set_up_logging(settings: Settings) -> None:
    """One line a record on stderr; the libraries only from WARNING on (their DEBUG costs a fifth of throughput)."""
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.log_level,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(Throttle())
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def announce_ready(settings: Settings) -> None:
    """Create the file that the supervisor waits for."""
    if settings.ready_file:
        Path(settings.ready_file).touch()


async def end_with(tails: Sequence[Tail]) -> None:
    """End this process when one of the tails does: what it goes by would be old from then on."""
    watched = [asyncio.ensure_future(tail.ended()) for tail in tails]
    try:
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        log.critical("ending the process: following a topic failed")
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for one in watched:
            one.cancel()
