"""Execute one notebook in a fresh kernel: watched for memory, explained when it fails, cleaned afterwards."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percept.storage import ROOT, write_atomic, write_json
from percept.workbook import processes
from percept.workbook.notebooks import Notebook

if TYPE_CHECKING:
    from nbformat import NotebookNode

PARTIAL = "executing.ipynb"
_POLL_SECONDS = 0.2


class NotebookFailure(RuntimeError):  # noqa: N818 - "failure" is the word the reader meets in the table
    """A notebook did not finish; the message names the cell and the error."""

    def __init__(self, message: str, seconds: float = 0.0, peak_mb: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.peak_mb = peak_mb


@dataclasses.dataclass
class Progress:
    """What is known of an execution while it goes on; cells are counted from 1, markdown included."""

    cell: int = 0
    cells: int = 0
    seconds: float = 0.0
    peak_mb: float = 0.0


@dataclasses.dataclass(frozen=True)
class Timing:
    """Cost of one execution; imports are the cells that do nothing else, start is that of the kernel."""

    wall_seconds: float
    start_seconds: float
    import_seconds: float
    peak_mb: float


def execute(
    notebook: Notebook,
    parameters: Mapping[str, Any],
    folder: Path,
    environment: Mapping[str, str],
    watch: Callable[[Progress], None] = lambda progress: None,
) -> Timing:
    """Run a notebook from the repository root and leave `executed.ipynb`, `executed.html`, `timing.json`.

    While it runs, the copy so far is `executing.ipynb`; `executed.ipynb` appears whole, also after a failure.

    Args:
        notebook: What to run.
        parameters: Typed values for its parameters cell.
        folder: The notebook's folder in the run.
        environment: Variables that the kernel sees in addition to those of this process.
        watch: Called a few times per second with the progress.

    Raises:
        NotebookFailure: a cell failed or the kernel died; the partial copy is in `executed.ipynb`.
    """
    import nbformat

    partial, progress = folder / PARTIAL, Progress(cells=len(notebook.node.cells))
    partial.unlink(missing_ok=True)
    begin = time.monotonic()
    failure: BaseException | None
    with _variables({**environment, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}), contextlib.chdir(ROOT):
        failure = _in_thread(lambda: _papermill(notebook, parameters, partial, progress), progress, watch)
    timing = Timing(time.monotonic() - begin, 0.0, 0.0, progress.peak_mb)
    if not partial.exists():
        raise NotebookFailure(f"{notebook.name} could not start: {failure}") from failure
    executed = _cleaned(nbformat.read(partial, as_version=4))
    write_atomic(folder / "executed.ipynb", nbformat.writes(executed) + "\n")
    partial.unlink()
    if failure is not None:
        raise NotebookFailure(_explain(notebook, failure, progress), timing.wall_seconds, timing.peak_mb)
    from percept.workbook import webpage

    write_atomic(folder / "executed.html", webpage.export(executed, notebook.title, notebook.path.parent))
    timing = _timing(executed, timing)
    write_json(folder / "timing.json", timing)
    return timing


def _papermill(notebook: Notebook, parameters: Mapping[str, Any], output: Path, progress: Progress) -> None:
    import papermill
    from papermill.engines import NBClientEngine, papermill_engines

    class Watched(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            start_cell = nb_man.cell_start

            def cell_start(cell: Any, cell_index: int | None = None, **rest: Any) -> None:
                progress.cell = _source_index(nb_man.nb, cell_index or 0) + 1
                start_cell(cell, cell_index, **rest)

            nb_man.cell_start = cell_start
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    # What papermill would log about a failure is said once, by `_explain`.
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    papermill_engines.register("percept", Watched)
    papermill.execute_notebook(
        os.path.relpath(notebook.path, ROOT),
        os.path.relpath(output, ROOT),
        parameters=dict(parameters),
        engine_name="percept",
        # The interpreter that runs this, whatever kernel the author had chosen.
        kernel_name="python3",
        progress_bar=False,
        coalesce_streams=True,
        # ipykernel warns on every start that the loopback connection is not encrypted.
        extra_arguments=["--log-level=ERROR"],
    )


def _in_thread(work: Callable[[], None], progress: Progress, watch: Callable[[Progress], None]) -> BaseException | None:
    """Run `work` in a thread (nbclient takes over the signals of the main one) and watch it from here."""
    caught: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # handed to the caller below
            caught.append(error)

    begin = time.monotonic()
    thread = threading.Thread(target=guarded, name="papermill", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_POLL_SECONDS)
            progress.seconds = time.monotonic() - begin
            progress.peak_mb = max(progress.peak_mb, processes.children_mb())
            watch(progress)
    except BaseException:
        # Ctrl-C or SIGTERM: no kernel may go on writing into the run folder behind our back.
        processes.end_kernels()
        thread.join(2)
        raise
    return caught[0] if caught else None


@contextlib.contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _source_index(node: NotebookNode, index: int) -> int:
    """Index of a cell in the source: cells that papermill inserted do not count."""
    return index - sum(_inserted(cell) for cell in node.cells[:index])


def _inserted(cell: NotebookNode) -> bool:
    return not {"injected-parameters", "papermill-error-cell-tag"}.isdisjoint(cell.metadata.get("tags", []))


def _explain(notebook: Notebook, failure: BaseException, progress: Progress) -> str:
    from papermill.exceptions import PapermillExecutionError

    cells = notebook.node.cells
    source = cells[progress.cell - 1].source if 0 < progress.cell <= len(cells) else ""
    if isinstance(failure, PapermillExecutionError):
        source, reason = failure.source, f"{failure.ename}: {failure.evalue}"
    elif type(failure).__name__ == "DeadKernelError":
        reason = (
            f"the kernel died after {progress.seconds:.0f} s at {progress.peak_mb:.0f} MB: "
            "killed from outside, out of memory, or a crash in native code"
        )
    else:
        reason = f"{type(failure).__name__}: {failure}"
    first = next((line.strip() for line in source.splitlines() if line.strip()), "")
    return f"{notebook.name} failed in cell {progress.cell} of {len(cells)} `{first}`: {reason}"


def _cleaned(node: NotebookNode) -> NotebookNode:
    """Drop widget state (GitHub refuses it) and whatever tells where on this machine the notebook ran."""
    node.metadata.pop("widgets", None)
    record = node.metadata.get("papermill", {})
    for key in ("input_path", "output_path"):
        record[key] = Path(record[key]).name if record.get(key) else None
    record["output_path"] = "executed.ipynb"
    record.pop("environment_variables", None)
    record["parameters"] = {
        name: Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
        for name, value in record.get("parameters", {}).items()
    }
    for cell in node.cells:
        if "outputs" in cell:
            text = json.dumps(cell.outputs)
            cell.outputs = [_as_node(o) for o in json.loads(text.replace(f"{ROOT}/", ""))]
    return node


def _as_node(output: dict[str, Any]) -> NotebookNode:
    import nbformat

    return nbformat.from_dict(output)


def _timing(node: NotebookNode, total: Timing) -> Timing:
    durations = [cell.metadata.get("papermill", {}).get("duration") or 0.0 for cell in node.cells]
    imports = sum(d for d, cell in zip(durations, node.cells, strict=True) if _imports_only(cell))
    start = max(0.0, total.wall_seconds - sum(durations))
    return dataclasses.replace(total, start_seconds=start, import_seconds=imports)


def _imports_only(cell: NotebookNode) -> bool:
    if cell.cell_type != "code" or not cell.source.strip():
        return False
    plain = "\n".join(line for line in cell.source.splitlines() if not line.startswith(("%", "!")))
    try:
        body = ast.parse(plain).body
    except SyntaxError:
        return False
    return bool(body) and all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in body)
