"""The engine's files after a full disk in; a folder that the engine opens, and a list of the losses, out.

The engine does not start with a partly written definition, format version or mutation. It repairs the rest by itself:
it removes ``tmp_`` parts and sets unreadable parts aside.

1. A table's definition comes from a copy, which is made whenever definitions have changed. Without a copy the repair
   sets the definition aside: the table is gone until provisioning makes it again.
2. A database's definition is its folder's name. A partly written mutation promised nothing: the repair sets it aside.
"""

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

ASIDE = "broken."
"""In front of the name: the engine reads any file that begins with ``mutation_``."""
KEPT = "metadata.kept"
DEFINES = (b"CREATE", b"ALTER", b"DROP", b"RENAME", b"EXCHANGE", b"ATTACH", b"DETACH")


def repair(path: Path) -> list[str]:
    """Repair the engine's folder so that it opens; returns the repairs, in words."""
    done = []
    for file in path.glob("store/*/*/mutation_*.txt"):
        if not _is_whole_mutation(file.read_bytes()):
            file.rename(file.with_name(ASIDE + file.name))
            done.append(f"{file}: a mutation that was written in part is put aside")
    for file in path.glob("store/*/*/format_version.txt"):
        if not file.read_bytes().strip():
            file.write_text("1")
            done.append(f"{file}: it was empty, written again")
    done += [text for file in _definitions(path) if (text := _mend_definition(path, file))]
    for text in done:
        log.warning("%s; a full disk left it so", text)
    return done


def keep(path: Path) -> None:
    """Copy changed definitions, and delete copies of removed ones; does nothing on a full disk."""
    with suppress(OSError):
        there, copies = path / "metadata", path / KEPT / "metadata"
        for name in {"", *_folders(there), *_folders(copies)}:
            _keep_folder(there / name, copies / name)


def _keep_folder(folder: Path, copies: Path) -> None:
    there, copied = _states(folder), _states(copies)
    for name in copied.keys() - there.keys():
        (copies / name).unlink()
    for name in [name for name, state in there.items() if copied.get(name) != state]:
        copies.mkdir(parents=True, exist_ok=True)
        copy = copies / name
        shutil.copy2(folder / name, copy.with_suffix(".tmp"))
        copy.with_suffix(".tmp").replace(copy)


def _folders(path: Path) -> set[str]:
    return {entry.name for entry in _entries(path) if entry.is_dir()}


def _states(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of the last change by a definition's name; each change of a table looks at those of all."""
    about = [(entry.name, entry.stat()) for entry in _entries(folder) if entry.name.endswith(".sql")]
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in about}


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """The files of a folder; empty for a missing folder."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _definitions(path: Path) -> list[Path]:
    """Of databases, then of tables."""
    return [*path.glob("metadata/*.sql"), *path.glob("metadata/*/*.sql")]


def _is_whole_mutation(content: bytes) -> bool:
    return content.startswith(b"format version: ") and b"\ncommands: " in content and content.endswith(b"\n")


def _mend_definition(path: Path, file: Path) -> str:
    """The repair of a partly written one, in words; empty: none was needed."""
    content, kept = file.read_bytes(), path / KEPT / file.relative_to(path)
    copy = kept.read_bytes() if kept.exists() else b""
    is_cut = copy.startswith(content) and content != copy
    if content.startswith(b"ATTACH ") and content.endswith(b"\n") and b"\nENGINE = " in content and not is_cut:
        return ""
    if content.endswith(b"\n") and content.startswith((b"ATTACH VIEW", b"ATTACH MATERIALIZED VIEW")) and not is_cut:
        return ""
    folder = file.with_suffix("")
    if copy:
        file.write_bytes(copy)
        return f"{file}: a definition that was written in part is taken from its copy"
    if file.parent.name == "metadata" and folder.is_symlink():
        file.write_text(f"ATTACH DATABASE _ UUID '{folder.readlink().name}'\nENGINE = Atomic\n")
        return f"{file}: a definition that was written in part is made from its folder's name"
    kept.parent.mkdir(parents=True, exist_ok=True)
    file.rename(kept.with_name(ASIDE + file.stem))  # elsewhere: the engine takes no other files beside definitions
    return f"{file}: a definition that was written in part is put aside, its table has to be made again"
