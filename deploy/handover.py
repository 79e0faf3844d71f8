"""A stage and a process's command in; the process until it is told to stop, and its partitions handed over, out.

A static member that stops keeps its partitions until its session ends, which is right for one that comes back. Where
moving them costs nothing, or the worker goes for good, others should have them at once: the member leaves its group
when its process has ended, as by ``headwater workers retire``. One that crashes keeps them.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from schemas.service.process import read_settings

USAGE = "usage: python -m deploy.handover STAGE COMMAND..."
WITHIN_S = 8.0
"""Of the time that a pod has to stop; the session ends by itself where Kafka is away."""


def main(arguments: Sequence[str]) -> int:
    """The process's exit code; raises ``SystemExit`` where no command is given."""
    if len(arguments) < 2:
        raise SystemExit(USAGE)
    stage, *command = arguments
    told = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal told
        told = True
        child.send_signal(number)

    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    code = child.wait()
    if told:
        _leave(stage)
    return code if code >= 0 else 128 - code


def _leave(stage: str) -> None:
    from deploy.group_members import retire  # noqa: PLC0415 - a Kafka client is needed at the end alone

    settings = read_settings()
    try:
        asyncio.run(asyncio.wait_for(retire(settings, stage, [settings.worker]), WITHIN_S))
    except Exception as error:  # noqa: BLE001 - its partitions then wait for the end of its session
        print(f"{stage} {settings.worker} keeps its partitions for now: {error!r}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
