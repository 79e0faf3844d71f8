"""A directory in; its layout of logs, pid files and ready files, and the remains of an earlier run, out.

A pid alone proves nothing: it may belong to another process by now. A process is ours when its environment names
our ready file, which is also unique per home and process.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

READY_FILE = "HEADWATER_READY_FILE"
SUPERVISOR = "supervisor"
LOG_BYTES = 10 * 1024 * 1024
STOP_S = 10.0


class AlreadyRunningError(Exception):
    """Another supervisor holds this home."""


@dataclass(frozen=True, slots=True)
class StackHome:
    path: Path

    def prepare(self) -> None:
        """Directories that only their owner reads, and the key that secrets are sealed with."""
        os.umask(0o077)
        for directory in (self.path, self.run, self.logs):
            directory.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        with suppress(FileExistsError), (self.path / "secret.key").open("x") as file:
            file.write(secrets.token_urlsafe(32))

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def write_pid(self, name: str, pid: int) -> None:
        """Replaces the process's pid file in one step: a reader never finds it empty."""
        partial = self.run / f"{name}.pid.partial"
        partial.write_text(f"{pid}\n")
        partial.replace(self.pid_file(name))

    def ready_file(self, name: str) -> Path:
        return self.run / f"{name}.ready"

    def log_file(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def open_log(self, name: str) -> IO[bytes]:
        """For appending; one that has grown large is put aside first, in place of the one before it."""
        self.rotate_log(name)
        return self.log_file(name).open("ab")

    def rotate_log(self, name: str) -> None:
        """Copy a log that has grown large under the process that writes it, and empty it.

        The process keeps writing to its file: lines written between the two steps, a moment, are lost.
        """
        log = self.log_file(name)
        with suppress(FileNotFoundError):
            if log.stat().st_size > LOG_BYTES:
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)

    def log_tail(self, name: str, lines: int = 20) -> str:
        with suppress(FileNotFoundError), self.log_file(name).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 16_384))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        return ""

    def processes(self) -> dict[str, psutil.Process]:
        """The running processes of this home, by name."""
        running = {}
        for file in sorted(self.run.glob("*.pid")):
            with suppress(ValueError, psutil.Error):
                process = psutil.Process(int(file.read_text()))
                ready = process.environ().get(READY_FILE)
                if ready == str(self.ready_file(file.stem)) and process.status() != psutil.STATUS_ZOMBIE:
                    running[file.stem] = process
        return running

    def end_left_over(self) -> list[str]:
        """End processes that outlived a killed supervisor; returns their names. Call with the lock held."""
        left = self.processes()
        left.pop(SUPERVISOR, None)
        for process in left.values():
            with suppress(psutil.Error):
                process.terminate()
        _, stubborn = psutil.wait_procs(left.values(), timeout=STOP_S)
        for process in stubborn:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(stubborn, timeout=STOP_S)
        for pattern in ("*.pid", "*.partial", "*.ready", "*.json", "*.sock"):
            for file in self.run.glob(pattern):
                if file.stem != SUPERVISOR:
                    file.unlink(missing_ok=True)
        return sorted(left)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Held by one supervisor for as long as it lives, however it ends; raises ``AlreadyRunningError``."""
        self.prepare()
        with (self.run / "supervisor.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyRunningError(f"already running in {self.path}") from error
            yield

    def is_locked(self) -> bool:
        try:
            with self.locked():
                return False
        except AlreadyRunningError:
            return True
