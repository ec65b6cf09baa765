"""Short content hashes of code, weights and artifacts: what has an equal fingerprint can be reused."""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import json
import platform
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from percept.storage import ROOT, environment

PACKAGE = ROOT / "percept"
# Changing how notebooks are run, checked or timed changes no result.
_NOT_RESULTS = ("cli.py", "workbook", "benchmarks")
# What only keeps files changes no result of a study; nor does an `__init__.py`, which here only maps names.
_NOT_CODE = ("storage.py", "runs.py", "comparison.py", "__init__.py")


class UnknownModuleError(ValueError):
    """A fingerprint was asked of a module that does not exist."""


def of_text(*parts: str) -> str:
    """Fingerprint of strings: 16 hexadecimal digits; the split into parts counts.

    Example:
        >>> of_text("ab", "c") == of_text("a", "bc")
        False
    """
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def of_values(values: Mapping[str, Any]) -> str:
    """Fingerprint of a mapping of plain values; the order of keys does not count."""
    return of_text(json.dumps(values, sort_keys=True, ensure_ascii=False))


def of_files(paths: Iterable[Path], base: Path) -> str:
    """Fingerprint of file contents together with their names relative to `base`."""
    total = hashlib.sha256()
    for path in sorted(set(paths)):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(json.dumps([path.relative_to(base).as_posix(), content]).encode())
    return total.hexdigest()[:16]


def of_folder(folder: Path, skip: Iterable[str] = ()) -> str:
    """Fingerprint of every file below `folder` but hidden ones and the top-level names in `skip`."""
    skipped = set(skip)
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.relative_to(folder).parts[0] not in skipped
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return of_files(files, folder)


def of_listing(folder: Path) -> str:
    """Fingerprint of names, sizes and times below a user's data folder, which may be too large to read."""
    rows = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            stat = path.stat()
            rows.append(f"{path.relative_to(folder).as_posix()} {stat.st_size} {stat.st_mtime_ns}")
    return of_text(*rows)


def of_package() -> str:
    """Fingerprint of the package sources that can change a result."""
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in _NOT_RESULTS]
    return of_sources(files, PACKAGE)


def of_sources(paths: Iterable[Path], base: Path) -> str:
    """Fingerprint of Python files; comments, docstrings and blank lines do not count."""
    return of_text(
        *(f"{path.relative_to(base).as_posix()}\n{bare_source(path.read_text('utf-8'))}" for path in sorted(set(paths)))
    )


def imported(source: str) -> list[Path]:
    """Files of the package that a source imports, and what these import, wherever in the file it says so.

    Imports for type checkers do not count, nor do run folders and storage, which change no result. Names that a
    package loads lazily are followed through the mapping from name to module in its ``__init__.py``.

    Args:
        source: Python code.

    Raises:
        UnknownModuleError: an import of a module of the package that does not exist.
    """
    found: set[Path] = set()
    waiting = _import_names(source)
    while waiting:
        for path in _files_of(*waiting.pop()) - found:
            found.add(path)
            waiting |= _import_names(path.read_text("utf-8"))
    return sorted(found)


def of_imports(source: str) -> str:
    """Fingerprint of a source together with everything it imports from the package."""
    files = [path for path in imported(source) if path.name not in _NOT_CODE]
    return of_text(bare_source(source), of_sources(files, ROOT))


def _import_names(source: str) -> set[tuple[str, str]]:
    """(module, name) of every import from the package; the name is "" for ``import module``."""
    names = set()
    for node in _running(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {(node.module or "", alias.name) for alias in node.names}
    return {(module, name) for module, name in names if module.split(".")[0] == PACKAGE.name}


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those below ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            yield node
            yield from _running(node)


def _files_of(module: str, name: str) -> set[Path]:
    """Files behind one import: the module, its packages, and the module that holds the name."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    files = {folder / "__init__.py" for folder in (path, *path.parents) if folder.is_relative_to(PACKAGE)}
    files = {file for file in files if file.is_file()}
    if path.with_suffix(".py").is_file():
        return files | {path.with_suffix(".py")}
    if not (path / "__init__.py").is_file():
        raise UnknownModuleError(f"no module named {module!r}")
    home = path / _lazy_homes(path / "__init__.py").get(name, name)
    options = (home.with_suffix(".py"), home / "__init__.py") if name else ()
    return files | {file for file in options if file.is_file()}


@functools.lru_cache(maxsize=64)
def _lazy_homes(package: Path) -> dict[str, str]:
    """Mapping from a lazily loaded name to its module, from a dictionary of texts called ``_HOME``."""
    for node in ast.parse(package.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_HOME":
            homes: dict[str, str] = ast.literal_eval(node.value)
            return {name: module.replace(".", "/") for name, module in homes.items()}
    return {}


def of_encoder(name: str = "percept-tiny") -> str:
    """Fingerprint of the weights behind an encoder name, without loading them.

    The embedded percept-tiny always counts, because a notebook may use it beside the encoder it was given;
    a folder or file counts by content, a hub name by its spelling.
    """
    parts = [name, of_folder(PACKAGE / "models" / "tiny", skip=("README.md",))]
    given = Path(name)
    if given.is_dir():
        parts.append(of_folder(given))
    elif given.is_file():
        parts.append(of_files([given], given.parent))
    return of_text(*parts)


def of_environment() -> str:
    """Fingerprint of the Python and library versions."""
    return of_values(environment()["versions"] | {"python": platform.python_version()})


@functools.lru_cache(maxsize=1024)
def bare_source(source: str) -> str:
    """Source without comments, docstrings and blank lines; by position, so alike on every Python."""
    lines = source.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = node.body[0] if node.body and ast.get_docstring(node, clean=False) is not None else None
            if text is not None and text.end_lineno is not None:
                lines[text.lineno - 1 : text.end_lineno] = [""] * (text.end_lineno - text.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())
