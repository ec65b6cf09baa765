"""The contract of notebooks: what every one must have so that it teaches, runs headlessly and diffs well."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from percept.storage import write_atomic
from percept.workbook import notebooks
from percept.workbook.notebooks import Notebook, NotebookError

MAX_CELLS = 30
MAX_LINES = 25
_HEAD = ("what you will learn", "run time", "reads", "writes")
_SECTIONS = ("takeaways", "exercises")
_NO_TORCH = ("00", "11")
_HEAVY = {"torch", "torchvision", "open_clip", "timm", "peft", "accelerate", "transformers", "torchmetrics"}
_TYPES = (bool, int, float, str, list)
_ABSOLUTE = re.compile(r"(?<![\w.:/])(?:~/|/(?:home|Users|root|tmp|work|mnt|data|var|opt|usr|content)/|[A-Z]:\\)")
_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def check(folder: Path | None = None, names: Sequence[str] = ()) -> list[str]:
    """Check all notebooks of a folder (`notebooks/` unless given), or the named ones.

    Returns:
        One line per violation: file, cell (counted from 1) where there is one, and what to do.
    """
    folder = folder or notebooks.NOTEBOOKS
    problems: list[str] = []
    found: dict[str, Notebook] = {}
    paths = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not paths:
        raise NotebookError(f"no notebooks named NN_*.ipynb in {folder.name}/")
    for name, path in paths.items():
        try:
            found[name] = notebooks.read(path)
        except NotebookError as error:
            problems.append(str(error))
    chosen = notebooks.resolve(names, found) if names else set(found)
    for name in sorted(chosen):
        problems += [f"{name}.ipynb: {problem}" for problem in violations(found[name], set(paths))]
    return problems


def violations(notebook: Notebook, known: set[str]) -> list[str]:
    """What one notebook breaks of the contract; `known` are the notebooks that it may read."""
    rules: tuple[Callable[..., Iterator[str]], ...] = (_head, _sections, _sizes, _stripped, _figures, _paths, _imports)
    problems = [problem for rule in rules for problem in rule(notebook)]
    return [*problems, *_parameters(notebook), *_artifacts(notebook, known)]


def strip(path: Path) -> bool:
    """Remove outputs, counts and machine-made metadata from a notebook file.

    Tags and the `percept` metadata stay.

    Returns:
        Whether the file was changed.
    """
    import nbformat

    before = path.read_text("utf-8")
    node = nbformat.reads(before, as_version=4)
    for cell in node.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    kept = {"kernelspec": _KERNEL, "language_info": {"name": "python"}}
    if "percept" in node.metadata:
        kept["percept"] = node.metadata["percept"]
    node.metadata = nbformat.from_dict(kept)
    after = nbformat.writes(node) + "\n"
    if after != before:
        write_atomic(path, after)
    return after != before


def _head(notebook: Notebook) -> Iterator[str]:
    cells = notebook.node.cells
    if not cells or cells[0].cell_type != "markdown":
        yield "the first cell must be markdown: title, what you will learn, run time, reads, writes"
        return
    if not notebook.title.endswith(("?", "？")):
        yield f"cell 1: the title must be a question, not {notebook.title!r}"
    for words in _HEAD:
        if words not in cells[0].source.lower():
            yield f"cell 1: says nothing of {words!r}"


def _sections(notebook: Notebook) -> Iterator[str]:
    text = "\n".join(cell.source for cell in notebook.node.cells if cell.cell_type == "markdown")
    headings = " ".join(re.findall(r"^#+\s+(.*)$", text, re.MULTILINE)).lower()
    for section in _SECTIONS:
        if section not in headings:
            yield f"has no section {section.capitalize()!r}"


def _sizes(notebook: Notebook) -> Iterator[str]:
    cells = notebook.node.cells
    if len(cells) > MAX_CELLS:
        yield f"has {len(cells)} cells, at most {MAX_CELLS} are read"
    for number, cell in enumerate(cells, 1):
        lines = len(cell.source.splitlines())
        if lines > MAX_LINES:
            yield f"cell {number}: {lines} lines, at most {MAX_LINES}"


def _stripped(notebook: Notebook) -> Iterator[str]:
    for number, cell in enumerate(notebook.node.cells, 1):
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count is not None):
            yield f"cell {number}: holds outputs or an execution count; `percept check --fix` strips them"
    if "widgets" in notebook.node.metadata or "papermill" in notebook.node.metadata:
        yield "holds widget state or papermill metadata; `percept check --fix` strips it"


def _figures(notebook: Notebook) -> Iterator[str]:
    cells = notebook.node.cells
    for number, cell in enumerate(cells, 1):
        following = cells[number].cell_type if number < len(cells) else "none"
        if cell.cell_type == "code" and re.search(r"\bsave_figure\(|\bplt\.show\(", cell.source):
            if following != "markdown":
                yield f"cell {number}: a figure must be followed by a sentence saying what to see"
            if "plt.show(" in cell.source:
                yield f"cell {number}: use run.save_figure(fig, name, alt), which keeps the alt text"
        if cell.cell_type == "markdown" and re.search(r"!\[\s*\]\(|<img(?![^>]*\balt=)", cell.source):
            yield f"cell {number}: an image has no alt text"
        if cell.cell_type == "markdown" and re.search(r"!\[[^\]]*\]\(\s*(?:https?:)?//", cell.source):
            yield f"cell {number}: an image is fetched from a network"


def _paths(notebook: Notebook) -> Iterator[str]:
    for number, cell in enumerate(notebook.node.cells, 1):
        found = _ABSOLUTE.search(cell.source)
        if found:
            yield f"cell {number}: absolute path {cell.source[found.start() :].split()[0][:40]!r}"


def _imports(notebook: Notebook) -> Iterator[str]:
    for number, tree in _code(notebook):
        if tree is None:
            yield f"cell {number}: is not valid Python"
            continue
        modules = {name.split(".")[0] for name in _imported(tree)}
        if notebook.name[:2] in _NO_TORCH and modules & _HEAVY:
            heavy = ", ".join(sorted(modules & _HEAVY))
            yield f"cell {number}: imports {heavy}; this notebook must open without torch"


def _parameters(notebook: Notebook) -> Iterator[str]:
    cells = notebook.node.cells
    tagged = [n for n, cell in enumerate(cells, 1) if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        yield f"has {len(tagged)} cells tagged 'parameters', must have one"
        return
    number = tagged[0]
    tree = dict(_code(notebook)).get(number)
    if tree is None:
        return
    for statement in tree.body:
        name, value = _assignment(statement)
        if name is None:
            yield f"cell {number}: line {statement.lineno} must be `name = literal`"
        elif type(value) not in _TYPES:
            yield f"cell {number}: parameter {name!r} must be a plain int, float, str, bool or list"
        elif name not in notebook.parameters or notebook.parameters[name].default != value:
            yield f"cell {number}: papermill cannot read parameter {name!r} (a '=' in its text or comment?)"


def _artifacts(notebook: Notebook, known: set[str]) -> Iterator[str]:
    source = "\n".join(cell.source for cell in notebook.node.cells if cell.cell_type == "code")
    started = re.findall(r"\bruns\.start\(\s*[\"']([^\"']+)", source)
    if started != [notebook.name]:
        yield f"must call runs.start({notebook.name!r}, ...) once (found: {', '.join(started) or 'none'})"
    if not re.search(r"\.finish\(\)", source):
        yield "never calls run.finish(), so that nothing counts as measured"
    required = set(re.findall(r"\brequire\(\s*[\"']([^\"']+)", source))
    for name in sorted(required - set(notebook.reads)):
        yield f"reads {name} undeclared: add it to `percept.reads` in the notebook's metadata"
    for name in sorted(set(notebook.reads) - known):
        yield notebooks.unknown("notebook in percept.reads", name, sorted(known))


def _code(notebook: Notebook) -> Iterator[tuple[int, ast.Module | None]]:
    for number, cell in enumerate(notebook.node.cells, 1):
        if cell.cell_type == "code":
            lines = ["pass" if line.startswith(("%", "!")) else line for line in cell.source.splitlines()]
            try:
                yield number, ast.parse("\n".join(lines))
            except SyntaxError:
                yield number, None


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _assignment(statement: ast.stmt) -> tuple[str | None, Any]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, value = statement.target, statement.value
    else:
        return None, None
    if not isinstance(target, ast.Name):
        return None, None
    try:
        return target.id, ast.literal_eval(value)
    except ValueError:
        return target.id, None
