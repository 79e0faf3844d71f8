"""The compose file's services and a folder in; the image's build steps, run in the folder without an engine, out."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.services import ROOT

FOLDER = ROOT / "deploy" / "docker"
DOCKERFILE = FOLDER / "Dockerfile"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
SERVING = [name for name in OURS if name != "provision"]
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info")


def instructions(stage: int) -> Iterator[tuple[str, str]]:
    """Returns name and arguments of each instruction of the nth stage, from 0; joins continued lines."""
    text = re.sub(r"\\\n\s*", "", "\n".join(_code_lines()))
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    for line in stages[stage].splitlines()[1:]:
        name, _, arguments = line.partition(" ")
        yield name, arguments


def _code_lines() -> list[str]:
    return [line for line in DOCKERFILE.read_text().splitlines() if line and not line.startswith("#")]


def built(folder: Path, *, compiled: Path | None) -> Path:
    """Returns the virtual environment of the first stage; raises ``CalledProcessError`` if a step fails.

    ``/src`` and ``/venv`` of the image are folders of ``folder`` here. The build finds the folder ``compiled`` made
    already; its name is a digest, so the build compiles all the same if the sources or the interpreter differ.
    """
    source, venv, environment = (
        folder / "src",
        folder / "venv",
        {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
    )
    source.mkdir()
    if compiled is not None and compiled.is_dir():
        shutil.copytree(compiled, source / ".compiled" / compiled.name)
    for name, arguments in instructions(0):
        if name == "COPY":
            *sources, target = shlex.split(arguments)
            for source_name in sources:
                _copy(ROOT / source_name, source / target, is_folder=target.endswith("/"))
        elif name == "RUN":
            command = arguments.replace("/venv", str(venv)).replace("python -m venv", f"{sys.executable} -m venv")
            subprocess.run(["sh", "-ec", command], cwd=source, env=environment, check=True, capture_output=True)
        elif name == "ENV":
            environment |= dict(pair.split("=", 1) for pair in shlex.split(arguments))
        else:
            assert (name, arguments) == ("WORKDIR", "/src"), f"this cannot be done here: {name} {arguments}"
    return venv


def environment() -> dict[str, str]:
    """Returns the variables of the last stage, without ``PATH``."""
    pairs = [pair.split("=", 1) for name, text in instructions(1) if name == "ENV" for pair in shlex.split(text)]
    return {name: value for name, value in pairs if name != "PATH"}


def _copy(source: Path, target: Path, *, is_folder: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=IGNORED, dirs_exist_ok=True)
        return
    target = target / source.name if is_folder else target
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def compiles(venv: Path) -> bool:
    """Returns whether processes of this environment run compiled modules."""
    code = "import schemas.compiled.use; from schemas.compiled import modules; print(modules.is_used())"
    return subprocess.check_output([venv / "bin/python", "-c", code], cwd=venv, text=True).strip() == "True"
