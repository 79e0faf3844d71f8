"""A process's common first and last lines: logging set up, readiness announced."""

import logging
import sys
from pathlib import Path

from schemas.settings import Settings

NOISY = ("aiokafka", "faust", "mode", "asyncio", "httpx", "urllib3", "clickhouse_connect")


def set_up_logging(settings: Settings) -> None:
    """One line a record on stderr; the libraries only from WARNING on (their DEBUG costs a fifth of throughput)."""
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.log_level,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def announce_ready(settings: Settings) -> None:
    """Create the file that the supervisor waits for."""
    if settings.ready_file:
        Path(settings.ready_file).touch()
