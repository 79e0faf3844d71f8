"""Processes in; the same processes, restarted whenever one dies, out, until the supervisor stops.

1. A process that dies is started again at once; one that keeps dying waits, up to 10 s (2 s if it lives 5 to 30).
2. Nothing is polled once all are ready: the kernel reports the end of a child.
3. Stopping goes layer by layer, the last one started first: SIGTERM, and SIGKILL after 10 s.
4. Children outlive a supervisor that is killed; the next one ends them before it starts its own (``home.py``).
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.home import READY_FILE, STOP_S, StackHome
from schemas.service import heartbeat
from schemas.service.processes import STACK_FILE, states

ROOT = Path(__file__).parents[2]
PROBE_S = 0.02
REMIND_S = 10.0
ROTATE_S = 10.0
"""Seconds between two lines about a process that is not ready."""
QUICK_DEATH_S, LONGEST_WAIT_S = 5.0, 10.0
SHORT_LIFE_S, SHORT_WAIT_S = 30.0, 2.0
"""A start costs one to two seconds of a core: a process that keeps dying must not take it from others."""
GIVE_UP_AFTER = 5


class NotReadyError(Exception):
    """A process that does not come up, and the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A command to run; it is ready when ``probe`` returns true or, without a probe, when it creates its ready file."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    probe: Callable[[], Awaitable[bool]] | None = None
    beats: bool = False
    """Whether it writes a heartbeat (``schemas/service/heartbeat.py``)."""
    niceness: int = 0
    """Added to the supervisor's: the higher, the sooner it waits for a processor."""

    @property
    def nice_command(self) -> tuple[str, ...]:
        """The command with its niceness; all threads have it, and the process and its number are the command's."""
        return ("nice", "-n", str(self.niceness), *self.command) if self.niceness else self.command


@dataclass(slots=True)
class _Kept:
    process: Process
    keeper: asyncio.Task[None] | None = None
    child: asyncio.subprocess.Process | None = None
    early_deaths: int = 0
    """In a row, each within ``SHORT_LIFE_S`` of its start."""
    restarts: int = 0
    exits: list[float] = field(default_factory=list)
    """Epoch seconds, the newest last."""
    last_exit: str = ""
    since: float = 0.0

    def to_heartbeat(self) -> dict[str, object]:
        """As it stands in the supervisor's file."""
        lives = self.child is not None and self.child.returncode is None
        return {
            "pid": self.child.pid if lives and self.child is not None else None,
            "since": self.since,
            "restarts": self.restarts,
            "exits": self.exits,
            "last_exit": self.last_exit,
            "beats": self.process.probe is None and self.process.beats,
        }


class Supervisor:
    """Keeps layers of processes alive; use one per event loop and home."""

    def __init__(self, home: StackHome, say: Callable[[str], None]) -> None:
        self._home = home
        self._say = say
        self._layers: list[list[_Kept]] = []
        self._stopping = False
        self._rotating: asyncio.Task[None] | None = None

    async def start(self, layer: Sequence[Process]) -> None:
        """Start a layer's processes and keep them; returns when each has been started once."""
        kept = [_Kept(process) for process in layer]
        self._layers.append(kept)
        for child in kept:
            await self._spawn(child)
            child.keeper = asyncio.create_task(self._keep(child), name=f"keep {child.process.name}")
        if self._rotating is None:
            self._rotating = asyncio.create_task(self._rotate(), name="rotate logs")

    async def ready(self, *names: str, within_s: float) -> None:
        """Wait until all of them are ready; raises ``NotReadyError``."""
        waited_for = [child for layer in self._layers for child in layer if child.process.name in names]
        await asyncio.gather(*(self._ready(child, time.monotonic() + within_s) for child in waited_for))

    async def stop(self) -> None:
        """End all of them, the last layer first."""
        self._stopping = True
        if self._rotating is not None:
            self._rotating.cancel()
        while self._layers:
            layer = self._layers[-1]
            await asyncio.gather(*(self._end(child) for child in layer))
            self._layers.pop()
        (self._home.run / STACK_FILE).unlink(missing_ok=True)

    async def _keep(self, kept: _Kept) -> None:
        while True:
            started = time.monotonic()
            assert kept.child is not None  # noqa: S101 - start() has spawned it
            code = await kept.child.wait()
            if self._stopping:
                return
            lived_s = time.monotonic() - started
            kept.early_deaths = kept.early_deaths + 1 if lived_s < SHORT_LIFE_S else 0
            wait = backoff(kept.early_deaths, LONGEST_WAIT_S if lived_s < QUICK_DEATH_S else SHORT_WAIT_S)
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            kept.last_exit, kept.exits = how, [*kept.exits[-4:], time.time()]
            kept.restarts += 1
            self._tell()
            self._say(f"{kept.process.name} {how}; starting it again" + (f" in {wait:g} s" if wait else ""))
            if wait:
                await asyncio.sleep(wait)
            try:
                await self._spawn(kept)
            except OSError as error:
                # no memory, no disk: the dead child is waited for again, so the loop tries once more
                self._say(f"{kept.process.name} cannot be started: {error}")

    async def _rotate(self) -> None:
        """A process that says much fills no disk."""
        while True:
            await asyncio.sleep(ROTATE_S)
            for child in [child for layer in self._layers for child in layer]:
                try:
                    await asyncio.to_thread(self._home.rotate_log, child.process.name)
                except OSError as error:  # a full disk
                    self._say(f"the log of {child.process.name} cannot be rotated: {error}")

    def _tell(self) -> None:
        """Write the file of all processes and their states."""
        every = [child for layer in self._layers for child in layer]
        heartbeat.write(self._home.run / STACK_FILE, {child.process.name: child.to_heartbeat() for child in every})

    async def _spawn(self, kept: _Kept) -> None:
        process, ready = kept.process, self._home.ready_file(kept.process.name)
        ready.unlink(missing_ok=True)
        with self._home.open_log(process.name) as log:
            kept.child = await asyncio.create_subprocess_exec(
                *process.nice_command,
                cwd=ROOT,
                env={**os.environ, **process.env, READY_FILE: str(ready)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the supervisor, which ends them in order. No session of its own: Linux shares the
                # processors out by session first, and the database, with its many threads, would have to wait.
                process_group=0,
            )
        self._home.write_pid(process.name, kept.child.pid)
        kept.since = time.time()
        self._tell()

    async def _ready(self, kept: _Kept, deadline: float) -> None:
        name, remind_at = kept.process.name, time.monotonic() + REMIND_S
        while not await self._is_ready(kept.process):
            if time.monotonic() > remind_at:
                remind_at += REMIND_S
                self._say(f"{name} is not ready yet: {self._seen(name)}")
            if kept.early_deaths >= GIVE_UP_AFTER:
                raise NotReadyError(f"{name} keeps ending; the end of its log:\n{self._home.log_tail(name)}")
            if time.monotonic() > deadline:
                raise NotReadyError(f"{name} does not get ready; the end of its log:\n{self._home.log_tail(name)}")
            await asyncio.sleep(PROBE_S)

    def _seen(self, name: str) -> str:
        """The dependency that it waits for, or the last line of its log."""
        reason = next((state.reason for state in states(self._home.run) if state.name == name), "")
        return reason or self._home.log_tail(name, 1) or "it has said nothing yet"

    async def _is_ready(self, process: Process) -> bool:
        if process.probe is not None:
            return await process.probe()
        return self._home.ready_file(process.name).exists()

    async def _end(self, kept: _Kept) -> None:
        child = kept.child
        if kept.keeper is not None:
            kept.keeper.cancel()  # it may be waiting to start the child again
            with suppress(asyncio.CancelledError):
                await kept.keeper
        if child is not None and child.returncode is None:
            with suppress(ProcessLookupError):
                child.terminate()
            try:
                await asyncio.wait_for(child.wait(), STOP_S)
            except TimeoutError:
                self._say(f"{kept.process.name} does not end; killing it")
                with suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        self._home.pid_file(kept.process.name).unlink(missing_ok=True)
        self._home.ready_file(kept.process.name).unlink(missing_ok=True)


def backoff(early_deaths: int, longest_s: float = LONGEST_WAIT_S) -> float:
    """Seconds to wait: none after the first death, then doubling."""
    return 0.0 if early_deaths <= 1 else min(0.25 * 2.0 ** (early_deaths - 2), longest_s)
