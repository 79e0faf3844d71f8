"""Modules of the hot path in, the same compiled to machine code by mypyc out: `python -m deploy.compile`.

It needs a C compiler and the extra ``compile``. Processes use the result from their next start on, and only while the
sources are the compiled ones; without it Python runs the sources.
"""

import argparse
import fcntl
import os
import re
import shlex
import shutil
import sysconfig
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any

from schemas.compiled import modules
from schemas.records import avro, codec

_PRELUDE = """from typing import Any, cast

from schemas.records.avro import branch, none, remember
from schemas.records.varint import SHORT as short
from schemas.records.varint import SIZES as sizes
from schemas.records.varint import STEPS as steps
from schemas.records.varint import leap, more, negative, size, varint

"""
_TYPED = (
    (r"\b_([fk]\d+)\b", r"{prefix}\1"),
    (r"(?m)^(\w+) = \{\}$", r"\1: dict[Any, bytes] = {}"),
    (r"\(data, at\):", "(data: bytes, at: int) -> tuple[Any, int]:"),
    (r"\(parts, datum\):", "(parts: list[bytes], datum: dict[str, Any]) -> None:"),
    (r"\(datum\):", "(datum: dict[str, Any]) -> bytes:"),
    (r"put, get = parts.append, datum.get", "put = parts"),
    (r"put = (some\d+).append", r"put = \1"),
    (r"put, kept = parts.append, ", "put, kept = parts, "),
    (r"\b(some\d*) = \[\]", r"\1: list[bytes] = []"),
    (r"\b(value\d*)\.encode\(\)", r"cast(str, \1).encode()"),
    (r"\bput\(", "put.append("),
    (r"\bget\('", "datum.get('"),
)
"""Patterns in the generated code, and what replaces them: names of one module, types, calls that mypyc knows."""
_VARIABLE_TYPES = ((r".*left|.*length\d+", "int"), (r"raw|.+raw\d+", "bytes"))
"""Patterns of names of variables in the generated code, and the type of their values."""
_FLAGS = ("--config-file=", "--ignore-missing-imports", "--follow-imports=silent")
"""`make check` finds errors of types; here only what is compiled matters."""


def avro_functions() -> str:
    """Returns a module's code: the functions that read and write records, and ``FUNCTIONS``: each by its digest."""
    parts, functions = [_PRELUDE], []
    for n, (digest, source) in enumerate(avro.sources.items()):
        prefix = f"c{n}_"
        typed = source
        for pattern, replacement in _TYPED:
            typed = re.sub(pattern, replacement.replace("{prefix}", prefix), typed)
        parts.append(_declared(typed))
        last = typed.rindex("def ")
        functions.append(f"    {digest!r}: {typed[last + 4 : typed.index('(', last)]},\n")
    return "".join((*parts, "FUNCTIONS: dict[str, Any] = {\n", *functions, "}\n"))


def _declared(source: str) -> str:
    """Returns the code with declarations of the variables whose types mypyc would not infer, or infer as too narrow."""
    lines = []
    for function in re.split(r"(?m)^(?=def |c\d+_k)", source):
        names = sorted(set(re.findall(r"\b(value\w*|raw|kept)\b(?=(?:, \w+)*,? = )", function)))
        head, _, body = function.partition("\n")
        declared = "".join(f" {name}: {_type_of(name, body)}\n" for name in names) if head.startswith("def ") else ""
        lines.append(f"{head}\n{declared}{body}")
    return "".join(lines)


def _type_of(name: str, body: str) -> str:
    if f" {name} = []\n" in body:
        return "list[Any]"
    return next((kind for pattern, kind in _VARIABLE_TYPES if re.fullmatch(pattern, name)), "Any")


def compiler() -> str | None:
    """Returns the path of the C compiler; ``None`` without one, or without Python's headers."""
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    has_headers = (Path(sysconfig.get_path("include")) / "Python.h").is_file()
    return shutil.which(shlex.split(command)[0]) if has_headers else None


def build(into: Path) -> None:
    """Writes all compiled modules into a new folder, or none; raises ``SystemExit`` if mypyc or the compiler fails."""
    from mypyc.build import mypycify  # noqa: PLC0415 - a second that only this needs
    from setuptools import Distribution  # type: ignore[import-untyped]  # noqa: PLC0415 - same
    from setuptools.errors import CCompilerError  # type: ignore[import-untyped]  # noqa: PLC0415 - same

    with tempfile.TemporaryDirectory(dir=into.parent) as folder:
        work, sources = Path(folder), Path(folder) / "sources"
        for package in modules.PACKAGES:
            shutil.copytree(modules.ROOT / package, sources / package, ignore=shutil.ignore_patterns("__pycache__"))
        (sources / "schemas/records/avro_functions.py").write_text(avro_functions())
        files = [f"{module.replace('.', '/')}.py" for module in (*modules.MODULES, "schemas.records.avro_functions")]
        with chdir(sources):
            extensions = mypycify(
                [*_FLAGS, *files], opt_level="2", debug_level="0", multi_file=True, target_dir=str(work / "c")
            )
            distribution = Distribution({"name": "headwater-compiled", "ext_modules": extensions})
            command = distribution.get_command_obj("build_ext")
            command.build_lib, command.build_temp = str(work / "lib"), str(work / "o")
            command.ensure_finalized()
            _in_parallel(command)
            try:
                command.run()
            except CCompilerError as error:
                raise SystemExit(f"the C compiler failed: {error}; Python runs the sources") from error
        (work / "lib").rename(into)


def _in_parallel(command: Any) -> None:
    """Lets a ``build_ext`` compile as many files at a time as there are cores."""
    build_extensions = command.build_extensions

    def build() -> None:
        compiled = command.compiler.compile

        def compile_each(sources: Sequence[str], *args: Any, **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: compiled([source], *args, **options), sources)
                return [name for names in objects for name in names]

        command.compiler.compile = compile_each
        build_extensions()

    command.build_extensions = build


def _compile(folder: Path) -> None:
    """Builds the folder unless it exists, then removes earlier ones of this interpreter; one process at a time."""
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            print(f"compiled already: {len(modules.MODULES)} modules in {folder}")
            return
        hot = f"{len(modules.MODULES)} modules and the codecs of {', '.join(codec.HOT)}"
        print(f"compiling {hot}: some minutes", flush=True)
        build(folder)
        for other in folder.parent.iterdir():
            if other != folder and any(other.rglob(f"*{modules.SUFFIX}")):
                shutil.rmtree(other, ignore_errors=True)
        print(f"compiled: {folder}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.compile", description=__doc__)
    parser.add_argument("--remove", action="store_true", help="remove what was compiled: Python runs the sources")
    folder = modules.folder()
    if parser.parse_args().remove:
        shutil.rmtree(folder.parent, ignore_errors=True)
    elif compiler() is None:
        raise SystemExit("no C compiler: install gcc and Python's headers, or set CC; Python runs the sources")
    else:
        _compile(folder)


if __name__ == "__main__":
    main()
