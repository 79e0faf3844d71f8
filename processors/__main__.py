"""The name of a stage in, its worker running out: `python -m processors identity`, `python -m processors segments`."""

import schemas.compiled.use  # noqa: F401 - before the modules that it finds

# isort: split
import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import typer

from processors.runtime.worker import Sidecar, run
from schemas import topics
from schemas.control.control_state import ControlState
from schemas.service.kafka import Tail
from schemas.service.process import read_settings
from schemas.settings import Settings
from schemas.times import DAY_MS

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def identity() -> None:
    """Join identifiers to contacts."""
    from processors.identity.stage import IdentityStage  # noqa: PLC0415 - a worker starts with its own stage only

    settings, control = read_settings(), ControlState()
    stage = IdentityStage(control, settings.partitions, settings.repeat_days * DAY_MS)
    run(stage, settings, sidecar=_following(control, settings))


@app.command()
def segments() -> None:
    """Keep the memberships of each contact, and its profile."""
    from processors.backfill.queue import BackfillQueue  # noqa: PLC0415 - same
    from processors.backfill.reader import BackfillReader  # noqa: PLC0415 - same
    from processors.segments.stage import SegmentsStage  # noqa: PLC0415 - same

    settings, control, queue = read_settings(), ControlState(), BackfillQueue()
    stage = SegmentsStage(control, settings.partitions, queue)

    def reader(wake: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        return BackfillReader(settings, queue, wake).running()

    run(stage, settings, sidecar=_following(control, settings, reader))


def _following(control: ControlState, settings: Settings, also: Sidecar | None = None) -> Sidecar:
    """Definitions are complete before the first record is looked at, and followed from then on."""

    @asynccontextmanager
    async def definitions(wake: Callable[[], None]) -> AsyncIterator[None]:
        def apply(record: Any) -> None:
            control.apply(record.key, record.value)
            wake()

        tail = Tail(settings, topics.CONTROL, apply)
        await tail.start()
        try:
            # if the tail of `control` ends, the worker ends too: its definitions would be out of date
            async with asyncio.TaskGroup() as following, also(wake) if also else nullcontext():
                ended = following.create_task(tail.ended())
                yield
                ended.cancel()
        finally:
            await tail.stop()

    return definitions


if __name__ == "__main__":
    app(prog_name="python -m processors")
