"""How the programs of each runtime are installed and started: a case in, a command out.

Packages come from their registries with the ordinary package managers, into a folder of the run's own.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from tests.sdks.manifest import Case

ESBUILD = "0.28.2"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
TOOLS = {
    "browser": ("npm",),
    "node": ("npm",),
    "go": ("go",),
    "java": ("mvn", "javac"),
    "rust": ("cargo",),
    "python": (),
}
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
"""A headless browser calls itself one, and SDKs do not count robots."""
INSTALL_S = 900.0
COMPILER = "cc"
Install = Callable[[Case, Path], None]


@cache
def chromium() -> str:
    return next((path for name in CHROMIUM if (path := shutil.which(name))), "")


def missing(case: Case) -> str:
    """Which program is not here, or nothing."""
    runtime = case.sdk.runtime
    lacking = [tool for tool in TOOLS[runtime] if shutil.which(tool) is None]
    if runtime == "browser" and not chromium():
        lacking.append("chromium")
    if runtime != "browser" and case.clock_h and not shutil.which(COMPILER):
        lacking.append(COMPILER)
    return ", ".join(lacking)


def run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_S,
        env={**os.environ, **(env or {})},
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def npm(cases: Iterable[Case], folder: Path) -> None:
    """Packages of cases that do not contradict each other, in one folder."""
    packages = {"esbuild": ESBUILD}
    for case in cases:
        packages[case.sdk.package] = case.version
        for need in case.sdk.needs:
            name, _, packages[name] = need.rpartition("@")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module", "dependencies": packages}))
    run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", cwd=folder)


def bundle(case: Case, folder: Path) -> bytes:
    """The page's script with its SDK, as a site's build would make it."""
    script = shutil.copy(case.sdk.path, folder / f"{case.sdk.path.stem}.js")
    flags = (
        "--bundle",
        "--format=iife",
        "--log-level=error",
        "--charset=utf8",
        '--define:process.env.NODE_ENV="production"',
    )
    return run("node", "node_modules/esbuild/bin/esbuild", Path(script).name, *flags, cwd=folder).encode()


def browse(url: str, profile: Path) -> list[str]:
    """A browser of its own that speaks to nobody else."""
    return [
        chromium(),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        f"--user-agent={AGENT}",
        f"--user-data-dir={profile}",
        url,
    ]


def node(case: Case, folder: Path) -> list[str]:
    script = shutil.copy(case.sdk.path, folder / case.sdk.path.name)
    return ["node", str(script)]


def go(case: Case, folder: Path) -> list[str]:
    folder.mkdir(parents=True)
    shutil.copy(case.sdk.path, folder / "main.go")
    version = f"{case.sdk.package} v{case.version}"
    (folder / "go.mod").write_text(f"module sdk\n\ngo 1.21\n\nrequire {version}\n")
    run("go", "mod", "tidy", cwd=folder, env={"GOFLAGS": "-mod=mod"})
    run("go", "build", "-o", "program", ".", cwd=folder, env={"GOFLAGS": "-mod=mod"})
    return [str(folder / "program")]


def python(case: Case, _folder: Path) -> list[str]:
    return [sys.executable, str(case.sdk.path)]


def java(case: Case, folder: Path) -> list[str]:
    folder.mkdir(parents=True)
    coordinates = [f"{case.sdk.package}:{case.version}", *case.sdk.needs]
    listed = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *c.split(":")
        )
        for c in coordinates
    )
    (folder / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>sdk</groupId><artifactId>sdk</artifactId><version>1</version>"
        f"<dependencies>{listed}</dependencies></project>"
    )
    copy = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
    run("mvn", "-q", "-B", copy, "-DoutputDirectory=lib", "-DincludeScope=runtime", cwd=folder)
    source = shutil.copy(case.sdk.path, folder / case.sdk.path.name)
    run("javac", "-nowarn", "-encoding", "UTF-8", "-cp", "lib/*", "-d", "classes", str(source), cwd=folder)
    return ["java", "-cp", f"{folder}/classes:{folder}/lib/*", case.sdk.path.stem]


def rust(case: Case, folder: Path) -> list[str]:
    """A variant is a feature of the SDK's crate."""
    (folder / "src").mkdir(parents=True)
    shutil.copy(case.sdk.path, folder / "src" / "main.rs")
    features = json.dumps([case.variant] if case.variant else [])
    listed = [f'{case.sdk.package} = {{ version = "={case.version}", features = {features} }}', *case.sdk.needs]
    parts = ("sdk", case.sdk.path.stem, case.version.replace(".", "-"), case.variant)
    name = "-".join(part for part in parts if part)
    (folder / "Cargo.toml").write_text(
        f'[package]\nname = "{name}"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n' + "\n".join(listed)
    )
    # what two SDKs have in common is built once, or was before
    built = Path(os.environ.get("CARGO_TARGET_DIR", folder.with_name("cargo")))
    run("cargo", "build", "-q", cwd=folder, env={"CARGO_TARGET_DIR": str(built), "CARGO_PROFILE_DEV_DEBUG": "0"})
    return [str(built / "debug" / name)]


def another_time(case: Case, folder: Path) -> dict[str, str]:
    """The environment of a process whose clock is ahead by the case's hours."""
    if not case.clock_h:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "clock.so"
    run(COMPILER, "-shared", "-fPIC", "-o", str(library), str(Path(__file__).with_name("clock.c")), cwd=folder)
    return {"LD_PRELOAD": str(library), "CLOCK_H": str(case.clock_h)}


COMMANDS: dict[str, Callable[[Case, Path], list[str]]] = {
    "node": node,
    "go": go,
    "python": python,
    "java": java,
    "rust": rust,
}
