"""Environment in, one sink running out: `python -m sinks clickhouse|query|squash|webhooks`."""

import schemas.compiled.use  # noqa: F401 - before the modules that it finds

# isort: split
import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import typer
import uvloop

from schemas.control.control_state import ControlState
from schemas.control.quarantine_jobs import QuarantineJobs
from schemas.errors import CannotStart
from schemas.service import web
from schemas.service.exposition import Exposition, exposed
from schemas.service.heartbeat import beating
from schemas.service.kafka import Probe
from schemas.service.metric import PIPELINE, READER, SINK, WEBHOOKS
from schemas.service.process import announce_ready, read_settings, set_up_logging
from schemas.settings import Settings, variable
from schemas.topics import EVENTS
from schemas.tracing.start import started
from sinks.clickhouse.consumer import ClickHouseConsumer
from sinks.clickhouse.metrics import NAME, source_of
from sinks.clickhouse.rereads import Rereads
from sinks.definitions.keeper import NameKeeper
from sinks.ledger.keeper import LedgerKeeper
from sinks.maintenance.cluster import refuse_cluster
from sinks.maintenance.compact import compact_merges, every
from sinks.maintenance.erase import Eraser, following
from sinks.maintenance.mend import Mender
from sinks.maintenance.retention import RetentionKeeper
from sinks.maintenance.typed_columns import TypedColumnKeeper
from sinks.quarantine.replayer import QuarantineReplayer
from sinks.shards.replicas import HostPings
from sinks.shards.writer import writer_of

if TYPE_CHECKING:
    from sinks.webhooks.process import Webhooks

app = typer.Typer(no_args_is_help=True, add_completion=False)
log = logging.getLogger("sinks")


@app.command()
def clickhouse() -> None:
    """Store the pipeline's records in ClickHouse."""
    settings = read_settings()
    set_up_logging(settings)
    # A block is a hundred thousand objects that hold no cycles: looking for some would double its cost.
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
    uvloop.run(_until_told(lambda: _store(settings)))


async def _store(settings: Settings) -> None:
    """Runs the sink; the first of several sinks also erases, keeps the ledger and squashes on schedule."""
    # not in a cluster: there each replica would rewrite a squash by itself, and replicas repair their own parts
    is_alone, is_first = not settings.clickhouse_cluster, settings.worker == 0
    squashing = asyncio.create_task(every(settings)) if settings.squash_interval_s and is_first and is_alone else None
    control = ControlState()
    eraser = Eraser(settings, control)
    rereads = Rereads()
    ready, writer = partial(announce_ready, settings), writer_of(settings, control.typed_columns)
    loop = ClickHouseConsumer(settings, ready, control.erased, rereads, started(NAME), writer=writer)
    mender = Mender(settings, rereads)
    ledger = LedgerKeeper(settings)
    names = NameKeeper(settings, control)
    jobs = QuarantineJobs()
    replayer = QuarantineReplayer(settings, jobs, control.erased)

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(loop.run())
            if is_first and is_alone:
                tasks.create_task(mender.run())
            if is_first:
                tasks.create_task(eraser.run())
                tasks.create_task(ledger.run())
                tasks.create_task(names.run())
                tasks.create_task(RetentionKeeper(settings, control).run())
                tasks.create_task(TypedColumnKeeper(settings, control).run())
                tasks.create_task(replayer.run())

    needs = {
        "kafka": Probe(settings, EVENTS).ask,
        "clickhouse": HostPings(writer.hosts).ask,
        "rows": loop.writer.check,
        "again": loop.check_again,
        "parts": mender.check,
    }
    try:
        lanes = source_of(loop)
        metrics = Exposition(
            settings,
            NAME,
            (READER, SINK, PIPELINE),
            lambda: (*lanes(), *ledger.samples(), *replayer.samples()),
        )
        async with exposed(settings, metrics), beating(settings, needs):
            await following(settings, (control.apply, rereads.apply, jobs.apply), work)
    finally:
        if squashing is not None:
            squashing.cancel()


async def _until_told(run: Callable[[], Coroutine[None, None, None]]) -> None:
    running = asyncio.create_task(run())
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


@app.command()
def squash() -> None:
    """Fold merges into the event rows, once, now."""
    settings = read_settings()
    set_up_logging(settings)
    try:
        refuse_cluster(settings, "a squash", "reads join what it would fold")
    except CannotStart as error:
        sys.exit(str(error))
    done = uvloop.run(compact_merges(settings))
    typer.echo("another squash is running" if done is None else f"{done.overrides} ids in {done.passes} passes")


@app.command()
def query() -> None:
    """Serve the read API behind the edges."""
    from sinks.read_api.app import build_app  # noqa: PLC0415 - the other command need not load it

    settings = read_settings()
    set_up_logging(settings)
    name = variable("query_port")
    web.serve(build_app(settings), settings.query_host, settings.query_port, settings.drain_s, name=name)


@app.command()
def webhooks() -> None:
    """Send notifications to the endpoints that subscribe to them."""
    from sinks.delivery.lease import LEASE_ERRORS  # noqa: PLC0415 - the other commands need not load it
    from sinks.webhooks.process import Webhooks  # noqa: PLC0415

    settings = read_settings()
    set_up_logging(settings)
    # each request under way has a socket
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard := resource.getrlimit(resource.RLIMIT_NOFILE)[1], hard))
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        uvloop.run(_until_told(lambda: _send(Webhooks(settings, lambda: announce_ready(settings)), settings)))
    except LEASE_ERRORS as error:
        log.critical("another sender of webhooks is at work: this one ends (%r)", error)
        raise typer.Exit(os.EX_TEMPFAIL) from error


async def _send(sender: "Webhooks", settings: Settings) -> None:
    metrics = Exposition(settings, "webhooks", (WEBHOOKS, PIPELINE), sender.samples)
    async with exposed(settings, metrics), beating(settings, {"kafka": Probe(settings, EVENTS).ask}):
        await sender.run()


if __name__ == "__main__":
    app()
