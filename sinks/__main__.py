"""Environment in, one sink running out: `python -m sinks clickhouse`, `python -m sinks query`."""

import asyncio
import gc
import logging
import signal
from contextlib import suppress

import typer
import uvloop

from schemas import web
from schemas.process import announce_ready, set_up_logging
from schemas.settings import Settings
from sinks.loop import Loop

app = typer.Typer(no_args_is_help=True, add_completion=False)
log = logging.getLogger("sinks")


@app.command()
def clickhouse() -> None:
    """Store the pipeline's records in ClickHouse."""
    settings = Settings()
    set_up_logging(settings)
    # A block is a hundred thousand objects that hold no cycles: looking for some would double its cost.
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
    uvloop.run(_until_told(settings))


async def _until_told(settings: Settings) -> None:
    running = asyncio.create_task(Loop(settings, lambda: announce_ready(settings)).run())
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


@app.command()
def query() -> None:
    """Serve the read API on loopback."""
    from sinks.query.app import build_app  # noqa: PLC0415 - the other command need not load it

    settings = Settings()
    set_up_logging(settings)
    web.serve(build_app(settings), "127.0.0.1", settings.query_port)


if __name__ == "__main__":
    app()
