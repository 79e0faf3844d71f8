"""The heartbeat of a process in; an exit status for the probes of its container out.

``python -m deploy.health`` ends with 0 while the process of ``HEADWATER_READY_FILE`` lives, ``python -m deploy.health
--ready`` while it is ready besides; else with 1 and a line that says why. It loads the standard library alone: probes
come every few seconds.
"""

import json
import os
import sys
import time
from pathlib import Path

SILENT_S = 20.0
"""A loaded machine delays the heartbeats, which come every 3 s; a process that is silent for so long is dead."""


def problem(ready_file: Path, *, asks_ready: bool, now: float) -> str:
    """Why the process of this ready file is not well; empty: it is."""
    try:
        beat = json.loads(ready_file.with_suffix(".json").read_text())
    except (OSError, ValueError):
        return "it has said nothing yet"
    if (age := now - beat["at"]) > SILENT_S:
        return f"no sign of life for {age:.0f} s"
    if asks_ready and not ready_file.exists():
        away = [f"{name}: {need['reason']}" for name, need in beat["needs"].items() if need["state"] != "ok"]
        return "; ".join(away) or "it is starting"
    return ""


def main() -> None:
    """Raises ``SystemExit``: 0, 1 with the reason, or 2 without a ready file to look at."""
    path = os.environ.get("HEADWATER_READY_FILE", "")
    if not path:
        sys.stderr.write("set HEADWATER_READY_FILE to that of the process\n")
        raise SystemExit(2)
    reason = problem(Path(path), asks_ready="--ready" in sys.argv[1:], now=time.time())
    if reason:
        sys.exit(reason)


if __name__ == "__main__":
    main()
