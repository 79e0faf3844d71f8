"""A process's common first and last lines: logging set up, readiness announced."""

import asyncio
import json
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from schemas.compiled import modules
from schemas.control import sealing
from schemas.errors import CannotStart
from schemas.service.clickhouse_auth import database_connection
from schemas.service.kafka_auth import connection
from schemas.settings import Settings, complaints, strangers
from schemas.times import iso

if TYPE_CHECKING:
    from schemas.service.kafka import Tail

log = logging.getLogger(__name__)
T = TypeVar("T")

LIBRARIES = ("aiokafka", "faust", "mode", "asyncio", "httpx", "urllib3", "clickhouse_connect", "opentelemetry")
CONTEXT = ("workspace", "topic", "partition", "offset", "event_id", "request_id", "trace_id")
"""Names that ``extra`` of a record may have: places and ids, nothing of a person."""
TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
MOST_TEXT = 16_000
"""Characters of a message, and of a traceback's end."""
# the README prints two keys: a log line that one is wrongly valid has to name it
_SECRET = re.compile(
    r"\b([sp]k_)(?!dev_local\b)[\w-]{3,}|(://)[^\s/@]{1,256}@|([\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,190})"
)
BURST = 5
WINDOW_S = 10.0


class Throttle(logging.Filter):
    """Passes at most ``BURST`` records of a message template in ``WINDOW_S``; the next one has the number left out.

    While the broker is unavailable, aiokafka logs that several hundred times a second.
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


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, process, logger, message, and the names of ``CONTEXT`` that it has."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        row: dict[str, object] = {
            "at": iso(int(record.created * 1000)),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage()[:MOST_TEXT],
        }
        row |= {name: value for name in CONTEXT if (value := getattr(record, name, None)) not in (None, "")}
        if record.exc_info and record.exc_info[1] is not None:
            row["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"[:MOST_TEXT]
            row["traceback"] = self.formatException(record.exc_info)[-MOST_TEXT:]
        return without_secrets(json.dumps(row, ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """A record as a person reads it."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


def without_secrets(text: str) -> str:
    """The text without keys, passwords of addresses, and e-mail addresses: a library's message may hold some."""
    return _SECRET.sub(_hidden, text)


def _hidden(match: re.Match[str]) -> str:
    return f"{match[1] or match[2] or ''}…" if not match[3] else "…@…"


def read_settings() -> Settings:
    """Reads the settings from the environment; ends the process with a line for each invalid variable."""
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
    logging.basicConfig(stream=sys.stderr, level=settings.log_level, force=True)
    is_text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    name = Path(settings.ready_file).stem if settings.ready_file else Path(sys.argv[0]).parent.name
    for handler in logging.getLogger().handlers:
        handler.setFormatter(TextFormatter(TEXT) if is_text else JsonFormatter(name))
        handler.addFilter(Throttle())
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    if modules.is_used():
        log.info("%d modules run compiled, from %s", len(modules.MODULES), modules.folder())


def announce_ready(settings: Settings) -> None:
    """Create the file that the supervisor waits for."""
    if settings.ready_file:
        Path(settings.ready_file).touch()


async def end_with(tails: Sequence["Tail"]) -> None:
    """End this process when one of the tails ends: its copy would be stale from then on."""
    watched = [asyncio.ensure_future(tail.ended()) for tail in tails]
    try:
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        log.critical("ending the process: following a topic failed")
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for task in watched:
            task.cancel()


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``; SIGTERM cancels the work too, so that it ends what it began, and exits with 143."""

    async def run() -> T:
        working = asyncio.create_task(work)

        def end() -> None:
            if not working.cancelling():  # a second signal does not cut off what ends it
                working.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
        return await working

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)
