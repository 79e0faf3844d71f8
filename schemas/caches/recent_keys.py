"""Keys in; whether a key was added recently out; pure."""


class RecentKeys:
    """Holds the last ``size`` to twice ``size`` keys, in two generations: the older one is dropped as a whole."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: set[str] = set()
        self._old: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._young or key in self._old

    def discard(self, key: str) -> None:
        self._young.discard(key)
        self._old.discard(key)

    def add(self, key: str) -> None:
        self._young.add(key)
        if len(self._young) >= self._size:
            self._old, self._young = self._young, set()
