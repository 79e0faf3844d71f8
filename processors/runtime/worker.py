"""A stage and settings in; a worker that runs until SIGTERM, or until it needs a restart.

Exit codes: 0 after SIGTERM or SIGINT, 70 when something went wrong; the reason is the last line of the log.
A worker ends hard (``os._exit``) once its last units are durable and committed: everything that Faust would
still wait for is repeatable, and waiting for it takes seconds in which its partitions stand still.
"""

# ruff: noqa: SLF001 - Faust and aiokafka offer no other way in; what is reached for is pinned by version

import asyncio
import gc
import logging
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import NoReturn

import uvloop
from aiokafka.errors import KafkaError
from faust.exceptions import ConsistencyError

from processors.runtime.app import Runtime, state_dir
from processors.runtime.crash_trigger import VARIABLE, CrashTrigger
from processors.runtime.grouping import events_of
from processors.runtime.metrics import source_of, stage_name
from processors.runtime.stage import InputRecord, OutputRecord, Quarantine, Stage
from processors.runtime.watchdog import watch
from schemas.records.quarantine import encode
from schemas.service import clock
from schemas.service.exposition import Exposition, exposed
from schemas.service.heartbeat import beating
from schemas.service.kafka import Probe, wait_for_broker
from schemas.service.metric import PIPELINE, READER, WORKER
from schemas.service.process import announce_ready, set_up_logging
from schemas.settings import Settings
from schemas.topics import EVENTS, QUARANTINE, partition_count
from schemas.tracing.start import started

log = logging.getLogger(__name__)

Sidecar = Callable[[Callable[[], None]], AbstractAsyncContextManager[None]]
"""A task beside the stage in the same event loop, from before the first record: it supplies the stage with data that
is not in its partitions. It receives a function that reports possible background work. It ends with the worker,
without notice."""

FAILED = 70
STOP_S = 5.0
"""After this a stop is as hard as a crash: a broker that is away keeps units from finishing."""


def run(
    stage: Stage, settings: Settings, quarantine: Quarantine | None = None, sidecar: Sidecar | None = None
) -> NoReturn:
    set_up_logging(settings)
    state_dir(stage.app, settings).mkdir(parents=True, exist_ok=True)
    # the units of all partitions are a hundred thousand objects that hold no cycles: to look for some would cost a
    # quarter of their time, and they are gone before so many are there
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
    uvloop.run(_serve(stage, settings, quarantine or _quarantine(settings), sidecar or _nothing))


def _nothing(_wake: Callable[[], None]) -> AbstractAsyncContextManager[None]:
    return nullcontext()


def _quarantine(settings: Settings) -> Quarantine:
    def send(record: InputRecord, detail: str) -> OutputRecord:
        events = events_of(record)
        # a record with events of several workspaces has no owner
        owners = {event["workspace"] for event in events}
        key, value = encode(
            workspace=owners.pop() if len(owners) == 1 else "",
            event_id=events[0]["event_id"] if len(events) == 1 else "",
            index=record.index,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key,
            payload=record.value,
            reason="processor_failed",
            detail=detail,
            now_ms=clock.now_ms(),
        )
        return OutputRecord(QUARANTINE.name, record.partition % partition_count(QUARANTINE, settings), key, value)

    return send


async def _serve(stage: Stage, settings: Settings, quarantine: Quarantine, sidecar: Sidecar) -> NoReturn:
    tracer = started(stage_name(stage.app))
    runtime = Runtime(stage, settings, quarantine, CrashTrigger(os.environ.get(VARIABLE, "")), _abort, tracer=tracer)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # while the worker waits for the broker, it has no unit of work to finish
    starting = asyncio.create_task(_exit_at(stop), name="stop while starting")
    try:
        needs = {"kafka": Probe(settings, EVENTS).ask}
        metrics = Exposition(
            settings, f"{stage_name(stage.app)}-{settings.worker}", (READER, WORKER, PIPELINE), source_of(runtime)
        )
        async with (
            exposed(settings, metrics),
            beating(settings, needs),
            _prepared(settings, sidecar, runtime),
            asyncio.TaskGroup() as work,
        ):
            starting.cancel()
            work.create_task(_run(runtime))
            work.create_task(_announce(runtime))
            work.create_task(watch(runtime, runtime.executor.wake, _abort))
            await stop.wait()
            await _stop(runtime)
    except* KafkaError as errors:
        _abort(f"Kafka: {errors.exceptions[0]!r}")
    except* Exception:  # nothing may leave: a thread of Faust's would keep the process alive
        log.exception("worker")
    _abort("the worker could not start or go on")


async def _exit_at(stop: asyncio.Event) -> NoReturn:
    await stop.wait()
    _exit(0)


@asynccontextmanager
async def _prepared(settings: Settings, sidecar: Sidecar, runtime: Runtime) -> AsyncIterator[None]:
    """Run the sidecars, once the broker answers."""
    await wait_for_broker(settings)
    async with sidecar(runtime.executor.wake):
        yield


async def _run(runtime: Runtime) -> NoReturn:
    app = runtime.app
    await app.start()
    await app._crashed.wait()
    if isinstance(app.crash_reason, ConsistencyError):
        # The store is ahead of its changelog: it belongs to another cluster, or to one that was recreated.
        shutil.rmtree(state_dir(runtime.stage.app, runtime.settings), ignore_errors=True)
    _abort(f"Faust crashed: {app.crash_reason!r}")


async def _announce(runtime: Runtime) -> None:
    await runtime.settled.wait()
    announce_ready(runtime.settings)


async def _stop(runtime: Runtime) -> NoReturn:
    if runtime.settled.is_set():
        try:
            await asyncio.wait_for(runtime.stop(), STOP_S)
        except TimeoutError:
            log.warning("units in hand did not finish within %.0f s; they will be repeated", STOP_S)
    if runtime.executor.tracer is not None:
        runtime.executor.tracer.flush()
    _exit(0)


def _abort(reason: str) -> NoReturn:
    log.critical("ending the process: %s", reason)
    _exit(FAILED)


def _exit(code: int) -> NoReturn:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
