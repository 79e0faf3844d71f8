"""A stage and a process's command in; the running process until its stop, then its handed-over partitions, out.

A static member that stops keeps its partitions until its session ends, so that it can come back. If a move is cheap, or
the worker stops for good, others should get the partitions at once. So the member leaves its group after its process
ends, as with ``headwater workers retire``. After a crash the member keeps its partitions.
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
    """Returns the process's exit code; raises ``SystemExit`` without a command."""
    if len(arguments) < 2:
        raise SystemExit(USAGE)
    stage, *command = arguments
    is_stopping = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal is_stopping
        is_stopping = True
        child.send_signal(number)

    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    code = child.wait()
    if is_stopping:
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
