"""The checkout and the machine in; the commit, hardware and versions of a run's figures out."""

import os
import platform
import subprocess
from importlib.metadata import version
from typing import Any

from schemas.compiled import modules

PACKAGES = ("aiokafka", "chdb", "faust-streaming", "fastavro", "starlette", "uvicorn", "orjson")


def environment() -> dict[str, Any]:
    """Returns commit, machine, versions, and whether processes run compiled modules."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "compiled": modules.folder().is_dir(),
        "packages": {name: version(name) for name in PACKAGES},
    }
