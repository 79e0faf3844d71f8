"""A start and a stop in; a command that runs in the foreground until a signal, or in the background, out.

A home has one daemon: its lock shows that it runs, its ready file that it may be used.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from deploy.local.home import SUPERVISOR, AlreadyRunningError, StackHome

POLL_S = 0.05
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Start = Callable[[], Awaitable[None]]


def run_in_front(home: StackHome, start: Start, stop: Start) -> None:
    """Start, wait for Ctrl-C or SIGTERM, stop; raises ``AlreadyRunningError`` and what ``start`` raises."""
    with home.locked():
        home.write_pid(SUPERVISOR, os.getpid())
        try:
            asyncio.run(_run(home, start, stop))
        finally:
            home.pid_file(SUPERVISOR).unlink(missing_ok=True)


async def _run(home: StackHome, start: Start, stop: Start) -> None:
    stop_requested = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop_requested.set)
    starting, stopping = asyncio.ensure_future(start()), asyncio.ensure_future(stop_requested.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            home.ready_file(SUPERVISOR).touch()
            await stopping
    finally:
        home.ready_file(SUPERVISOR).unlink(missing_ok=True)
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        await stop()


def up(home: StackHome, command: tuple[str, ...], *, within_s: float, show: Callable[[str], None]) -> bool:
    """Run the command in the background, show its output, return whether it got ready."""
    home.prepare()
    home.ready_file(SUPERVISOR).unlink(missing_ok=True)  # a killed supervisor leaves it
    with home.open_log(SUPERVISOR) as log, Path(os.devnull).open("rb") as nothing:
        begin = log.tell()
        streams = [(os.POSIX_SPAWN_DUP2, source.fileno(), n) for n, source in enumerate((nothing, log, log))]
        # not subprocess, which expects the parent to stay until the child ends
        child = os.posix_spawn(command[0], command, os.environ, file_actions=streams, setsid=True)
    deadline = time.monotonic() + within_s
    with home.log_file(SUPERVISOR).open() as news:
        news.seek(begin)
        while not (ready := home.ready_file(SUPERVISOR).exists()) and os.waitpid(child, os.WNOHANG) == (0, 0):
            show(news.read())
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGTERM)
            time.sleep(POLL_S)
        show(news.read())
    return ready


def down(home: StackHome) -> str:
    """Stop the running stack and return when it has stopped; reports what was done."""
    if home.is_locked():
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.kill(int(home.pid_file(SUPERVISOR).read_text()), signal.SIGTERM)
        while home.is_locked():
            time.sleep(POLL_S)
        return "stopped"
    try:
        with home.locked():
            ended = home.end_left_over()
    except AlreadyRunningError:
        return down(home)
    return f"ended what was left over: {', '.join(ended)}" if ended else "not running"
