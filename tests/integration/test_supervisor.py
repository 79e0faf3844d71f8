"""What the supervisor promises, with children that do nothing: restarts, order, left-overs, up and down."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from deploy.local import daemon, stack
from deploy.local.home import READY_FILE, SUPERVISOR, AlreadyRunningError, StackHome
from deploy.local.supervisor import NotReadyError, Process, Supervisor, backoff
from schemas.settings import Settings
from tests.support.waiting import eventually, wait_until

READY = "import os, pathlib; pathlib.Path(os.environ['HEADWATER_READY_FILE']).touch();"
WAIT = READY + "import signal; signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY + "\nwhile True: signal.pause()"
ENDS = "print('the reason'); raise SystemExit(3)"

# A stack of two dummies, run by the command that `up` starts.
STACK = """
import sys
from pathlib import Path
from deploy.local.daemon import run_in_front
from deploy.local.home import StackHome
from deploy.local.supervisor import Process, Supervisor

home = StackHome(Path(sys.argv[1]))
supervisor = Supervisor(home, print)

async def start():
    home.end_left_over()
    await supervisor.start([Process(name=n, command=(sys.executable, "-c", sys.argv[2])) for n in ("a", "b")])
    await supervisor.ready("a", "b", within_s=20)
    print("both are ready", flush=True)

run_in_front(home, start, supervisor.stop)
"""


def python(name: str, code: str) -> Process:
    return Process(name=name, command=(sys.executable, "-c", code))


@pytest.fixture
def home(tmp_path: Path) -> StackHome:
    home = StackHome(tmp_path / "home")
    home.prepare()
    return home


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
async def supervisor(home: StackHome, reports: list[str]) -> AsyncIterator[Supervisor]:
    made = Supervisor(home, reports.append)
    yield made
    await made.stop()


def pid(home: StackHome, name: str) -> int:
    return int(home.pid_file(name).read_text())


def lives(number: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(number).status() != psutil.STATUS_ZOMBIE)
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_dead_child_is_back_at_once(home: StackHome, supervisor: Supervisor, number: int) -> None:
    await supervisor.start([python("a", WAIT), python("b", WAIT)])
    await supervisor.ready("a", "b", within_s=20)
    first, other = pid(home, "a"), pid(home, "b")
    began = time.monotonic()
    os.kill(first, number)
    await eventually(lambda: pid(home, "a") != first, "another process", every_s=0.005)
    assert time.monotonic() - began < 3  # a pause before it would be longer
    await supervisor.ready("a", within_s=20)
    assert lives(pid(home, "a"))
    assert not lives(first)
    assert pid(home, "b") == other


async def test_a_child_is_as_nice_as_asked_after_a_restart_too(home: StackHome, supervisor: Supervisor) -> None:
    wanted = os.getpriority(os.PRIO_PROCESS, 0) + 3
    await supervisor.start([dataclasses.replace(python("a", WAIT), niceness=3)])
    await supervisor.ready("a", within_s=20)
    first = pid(home, "a")
    assert os.getpriority(os.PRIO_PROCESS, first) == wanted
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: pid(home, "a") != first, "it is started again")
    await supervisor.ready("a", within_s=20)
    assert os.getpriority(os.PRIO_PROCESS, pid(home, "a")) == wanted


def test_the_edge_and_its_broker_come_first(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    everything = [*stack.services(settings, print), *(p for layer in stack.stages(settings) for p in layer)]
    first = {process.name for process in everything if not process.niceness}
    assert first == {"kafka", "query", "ingest"}


async def test_a_child_that_keeps_dying_is_given_time_and_then_up(home: StackHome, supervisor: Supervisor) -> None:
    await supervisor.start([python("a", ENDS)])
    with pytest.raises(NotReadyError, match="the reason"):
        await supervisor.ready("a", within_s=60)
    assert home.log_file("a").read_text().count("the reason") >= 5


def test_the_first_restart_does_not_wait() -> None:
    assert [backoff(deaths) for deaths in (0, 1, 2, 3, 4)] == [0, 0, 0.25, 0.5, 1]
    assert backoff(50) == 10


async def test_a_child_that_never_gets_ready_is_named(supervisor: Supervisor) -> None:
    await supervisor.start([python("a", "import signal; signal.pause()")])
    with pytest.raises(NotReadyError, match="a does not get ready"):
        await supervisor.ready("a", within_s=0.3)


async def test_layers_end_in_reverse_order(home: StackHome, reports: list[str], tmp_path: Path) -> None:
    supervisor, order = Supervisor(home, reports.append), tmp_path / "order"
    code = (
        "import signal, sys\n"
        f"def end(*_):\n open({str(order)!r}, 'a').write(sys.argv[1]); sys.exit()\n"
        f"signal.signal(signal.SIGTERM, end)\n{READY}\nsignal.pause()"
    )
    for name in ("1", "2", "3"):
        await supervisor.start([Process(name=name, command=(sys.executable, "-c", code, name))])
    await supervisor.ready("1", "2", "3", within_s=20)
    pids = [pid(home, name) for name in ("1", "2", "3")]
    await supervisor.stop()
    assert order.read_text() == "321"
    assert not any(lives(number) for number in pids)
    assert list(home.run.iterdir()) == []
    assert reports == []  # nothing was restarted or killed on the way


async def test_a_stubborn_child_is_killed(home: StackHome, reports: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.supervisor.STOP_S", 0.2)
    supervisor = Supervisor(home, reports.append)
    await supervisor.start([python("a", STUBBORN)])
    await supervisor.ready("a", within_s=20)
    number = pid(home, "a")
    await supervisor.stop()
    assert not lives(number)
    assert reports == ["a does not end; killing it"]


async def test_an_unready_child_has_no_ready_file_of_its_predecessor(home: StackHome, supervisor: Supervisor) -> None:
    home.ready_file("a").touch()
    await supervisor.start([python("a", "import signal; signal.pause()")])
    with pytest.raises(NotReadyError):
        await supervisor.ready("a", within_s=0.3)


@pytest.fixture
def orphan(home: StackHome) -> Iterator["subprocess.Popen[bytes]"]:
    ready = home.ready_file("identity")
    child = subprocess.Popen((sys.executable, "-c", WAIT), env={**os.environ, READY_FILE: str(ready)})
    wait_until(ready.exists, "the orphan")
    home.pid_file("identity").write_text(f"{child.pid}\n")
    yield child
    child.kill()
    child.wait()


def test_what_was_left_over_is_ended(home: StackHome, orphan: "subprocess.Popen[bytes]") -> None:
    assert home.end_left_over() == ["identity"]
    assert not lives(orphan.pid)
    assert not home.pid_file("identity").exists()
    assert home.end_left_over() == []


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(home: StackHome, orphan: "subprocess.Popen[bytes]") -> None:
    home.pid_file("segments").write_text(f"{orphan.pid}\n")
    home.pid_file("identity").unlink()
    home.pid_file("query").write_text(f"{os.getpid()}\n")
    home.pid_file("ingest").write_text("nonsense")
    assert home.end_left_over() == []
    assert orphan.poll() is None


def test_one_supervisor_a_home(home: StackHome) -> None:
    with home.locked():
        assert home.is_locked()
        with pytest.raises(AlreadyRunningError, match="already running"), home.locked():
            pass
    assert not home.is_locked()


def test_a_large_log_is_put_aside(home: StackHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.home.LOG_BYTES", 10)
    for text in (b"0123456789+", b"second"):
        with home.open_log("a") as log:
            log.write(text)
    assert home.log_file("a").read_bytes() == b"second"
    assert (home.logs / "a.log.1").read_bytes() == b"0123456789+"


async def test_a_log_that_grows_while_it_is_written_is_rotated(
    home: StackHome, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.local.home.LOG_BYTES", 1000)
    monkeypatch.setattr("deploy.local.supervisor.ROTATE_S", 0.05)
    loud = READY + "import time\nwhile True: print('x' * 99, flush=True); time.sleep(0.01)"
    supervisor = Supervisor(home, reports.append)
    await supervisor.start([python("a", loud)])
    try:
        aside = home.logs / "a.log.1"
        await eventually(aside.exists, "the log put aside")
        began = aside.stat().st_mtime_ns
        await eventually(lambda: aside.stat().st_mtime_ns > began, "the next one")
        await eventually(lambda: home.log_file("a").stat().st_size > 100, "the process writing on")
        assert set(home.log_file("a").read_text()) <= set("x\n")  # no hole where the file was emptied
    finally:
        await supervisor.stop()
    assert reports == []


def up(home: StackHome, code: str = WAIT) -> tuple[bool, str]:
    shown: list[str] = []
    command = (sys.executable, "-c", STACK, str(home.path), code)
    ready = daemon.up(home, command, within_s=30, show=shown.append)
    return ready, "".join(shown)


def test_up_and_down(home: StackHome) -> None:
    ready, shown = up(home)
    try:
        assert ready
        assert shown == "both are ready\n"
        assert sorted(home.processes()) == ["a", "b"]
    finally:
        number, children = pid(home, SUPERVISOR), [pid(home, "a"), pid(home, "b")]
        assert daemon.down(home) == "stopped"
    assert not any(lives(child) for child in children)
    wait_until(lambda: not lives(number), "the supervisor's end", within_s=5)
    assert daemon.down(home) == "not running"


def test_up_says_why_it_failed(home: StackHome) -> None:
    ready, shown = up(home, ENDS)
    assert not ready
    assert "the reason" in shown
    assert home.processes() == {}


def test_children_outlive_a_killed_supervisor_until_the_next_start(home: StackHome) -> None:
    assert up(home)[0]
    old = {name: pid(home, name) for name in (SUPERVISOR, "a", "b")}
    os.kill(old[SUPERVISOR], signal.SIGKILL)
    wait_until(lambda: not home.is_locked(), "the lock of the dead")
    assert lives(old["a"])
    try:
        assert up(home)[0]
        assert not lives(old["a"])
        assert pid(home, "b") != old["b"]
    finally:
        daemon.down(home)


def test_the_stack_hands_its_settings_to_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Settings(home=tmp_path, port=1234, edges=2, segments_workers=2, kafka_bootstrap_servers="k:1", block_ms=7)
    children = {child.name: child for layer in stack.stages(chosen) for child in layer}
    readers = {"identity", "segments", "segments-2", "clickhouse-sink", "query", "webhooks"}
    assert set(children) == {*readers, "ingest", "ingest-2"}
    for second in ("segments-2", "ingest-2"):
        for name, value in children[second].env.items():
            monkeypatch.setenv(name, value)
        assert Settings() == chosen.model_copy(update={"worker": 1})


def test_the_databases_password_is_there_before_anything_starts(tmp_path: Path) -> None:
    """What provisions starts beside the database: it would go without a password for good."""
    chosen = Settings(home=tmp_path, kafka_bootstrap_servers="k:1")
    stack.services(chosen, lambda _line: None)
    assert f"headwater:{(tmp_path / 'clickhouse.password').read_text()}@" in chosen.clickhouse
