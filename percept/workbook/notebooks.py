"""What the runner knows of a notebook before it runs: question, parameters, and whose artifacts it reads.

A notebook says what it reads in its own metadata, `{"percept": {"reads": ["01_collect_judgments"]}}`
(JupyterLab: Property Inspector, Notebook Metadata). Notebooks run after what they read, else by name.
"""

from __future__ import annotations

import ast
import difflib
import graphlib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percept.storage import ROOT

if TYPE_CHECKING:
    from nbformat import NotebookNode

NOTEBOOKS = ROOT / "notebooks"
PROFILES = ("quick", "standard", "full")
_WORDS = {"true": True, "false": False}


class NotebookError(ValueError):
    """A notebook, or what was asked of it, does not fit; found before anything runs."""


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell: `name = default  # help`."""

    name: str
    default: Any
    help: str = ""


@dataclass(frozen=True)
class Notebook:
    """A notebook's declaration."""

    path: Path
    node: NotebookNode
    title: str
    run_time: str
    reads: tuple[str, ...]
    parameters: Mapping[str, Parameter]

    @property
    def name(self) -> str:
        """File name without ending, such as "02_language_supervision"."""
        return self.path.stem


def discover(folder: Path | None = None) -> dict[str, Notebook]:
    """Read all notebooks `NN_*.ipynb` of a folder (`notebooks/` unless given), by name.

    Raises:
        NotebookError: there is none, one cannot be read, or one reads a notebook that does not exist.
    """
    folder = folder or NOTEBOOKS
    found = {path.stem: read(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not found:
        raise NotebookError(f"no notebooks named NN_*.ipynb in {folder.name}/")
    for notebook in found.values():
        for needed in notebook.reads:
            if needed not in found:
                raise NotebookError(f"{notebook.name} reads " + unknown("notebook", needed, found))
    return found


def read(path: Path) -> Notebook:
    """Read one notebook's declaration; its parameters are what `papermill.inspect_notebook` sees."""
    import nbformat
    import papermill

    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        node = nbformat.read(path, as_version=4)
        inspected = papermill.inspect_notebook(str(path))
    except Exception as error:
        raise NotebookError(f"{path.name} cannot be read as a notebook: {error}") from error
    parameters = {name: _parameter(path, name, seen) for name, seen in inspected.items()}
    head = node.cells[0].source if node.cells else ""
    title = re.search(r"^#\s+(.+)$", head, re.MULTILINE)
    run_time = re.search(r"run time[*_]*\s*:?[*_]*\s*:?\s*(.+)", head, re.IGNORECASE)
    return Notebook(
        path=path,
        node=node,
        title=title.group(1).strip() if title else "",
        run_time=run_time.group(1).strip() if run_time else "",
        reads=tuple(node.metadata.get("percept", {}).get("reads", ())),
        parameters=parameters,
    )


def ordered(notebooks: Mapping[str, Notebook]) -> list[str]:
    """Names in an order in which each comes after what it reads, by name where there is a choice."""
    sorter = graphlib.TopologicalSorter({name: set(nb.reads) for name, nb in notebooks.items()})
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        raise NotebookError(f"notebooks read each other in a circle: {' -> '.join(error.args[1])}") from error
    names: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()])
        names.append(ready.pop(0))
        sorter.done(names[-1])
    return names


def resolve(names: Sequence[str], notebooks: Mapping[str, Notebook]) -> set[str]:
    """Full names of notebooks given by name, file name or number ("02"); all of them if none is given."""
    chosen = set()
    for given in names:
        stem = Path(given).name.removesuffix(".ipynb")
        matches = [name for name in notebooks if stem in (name, name.split("_")[0])]
        if not matches:
            raise NotebookError(unknown("notebook", stem, notebooks))
        chosen |= set(matches)
    return chosen or set(notebooks)


def describe(notebook: Notebook) -> str:
    """A notebook's entry in `percept list`: name, question, run time, reads, parameters."""
    lines = [f"{notebook.name}  {notebook.title}"]
    if notebook.run_time:
        lines.append(f"    run time: {notebook.run_time}")
    if notebook.reads:
        lines.append(f"    reads: {', '.join(notebook.reads)}")
    for parameter in notebook.parameters.values():
        lines.append(f"    -p {parameter.name + '=' + repr(parameter.default):<24} {parameter.help}".rstrip())
    return "\n".join(lines)


def upstream(names: Iterable[str], notebooks: Mapping[str, Notebook]) -> set[str]:
    """The notebooks `names` together with everything they read, directly or not."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += notebooks[name].reads
    return reached


def overrides(settings: Sequence[str], notebooks: Iterable[Notebook]) -> dict[str, dict[str, Any]]:
    """Turn `name=value` settings into typed parameters per notebook.

    A setting goes to every notebook that has a parameter of that name; the type is that of its default.

    Raises:
        NotebookError: no notebook has the parameter, or the value is not of its type.
    """
    notebooks = list(notebooks)
    known = sorted({name for notebook in notebooks for name in notebook.parameters})
    out: dict[str, dict[str, Any]] = {notebook.name: {} for notebook in notebooks}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise NotebookError(f"-p {setting!r} has no '='; write -p name=value")
        if name not in known:
            raise NotebookError(unknown("parameter", name, known))
        for notebook in notebooks:
            if name in notebook.parameters:
                out[notebook.name][name] = parse(notebook, notebook.parameters[name], text)
    return out


def parse(notebook: Notebook, parameter: Parameter, text: str) -> Any:
    """Read `text` as a value of the type of the parameter's default."""
    default = parameter.default
    if parameter.name == "profile" and text not in PROFILES:
        raise NotebookError(unknown("profile", text, PROFILES))
    if isinstance(default, str):
        return text
    try:
        value: Any = _WORDS[text.lower()] if text.lower() in _WORDS else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    fits = default is None or type(value) is type(default)
    if fits and isinstance(default, list) and default:
        fits = all(type(item) is type(default[0]) for item in value)
    if fits:
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    raise NotebookError(
        f"parameter {parameter.name!r} of {notebook.name} must be {type(default).__name__} "
        f"(its default is {default!r}), not {text!r}"
    )


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, with the nearest known one and the list of all."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {name!r}{hint} (known: {', '.join(names) or 'none'})"


def _parameter(path: Path, name: str, seen: Mapping[str, Any]) -> Parameter:
    try:
        default = ast.literal_eval(seen["default"])
    except (ValueError, SyntaxError) as error:
        text = f"{path.name}: parameter {name!r} = {seen['default']} is no plain literal on one line"
        raise NotebookError(text) from error
    return Parameter(name, default, seen["help"])
