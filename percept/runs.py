"""Run folders: where a notebook puts what it measured, and where the next notebook finds it.

Layout of `runs/<run>/<notebook>/`: `config.json`, `env.json`, `metrics.jsonl`, `results.json`, `figures/`,
`executed.ipynb` and the notebook's own artifacts. Every file appears whole or not at all; `results.json` is
written last, so its presence means "finished".
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percept.comparison import compare_rows
from percept.storage import ROOT, environment, plain, write_atomic, write_json

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

__all__ = [
    "ROOT",
    "MissingArtifact",
    "Run",
    "RunError",
    "compare",
    "current",
    "environment",
    "folder",
    "home",
    "metrics",
    "names",
    "require",
    "results",
    "start",
    "write_atomic",
    "write_json",
]

_NAME = re.compile(r"[\w][\w.\-]*")
_FIGURE_DPI = 144


class RunError(ValueError):
    """A run folder was used in a way that would lose or fake a result."""


class MissingArtifact(RunError):  # noqa: N818 - the name says what happened
    """A notebook needs a file that another notebook has not (completely) written in this run."""


def home() -> Path:
    """Folder of all runs: `PERCEPT_HOME`, else `runs/` at the repository root."""
    return Path(os.environ.get("PERCEPT_HOME") or ROOT / "runs")


def current() -> str:
    """Name of the run that this process belongs to: `PERCEPT_RUN`, else "interactive"."""
    return _checked_name(os.environ.get("PERCEPT_RUN") or "interactive", "run")


def names() -> list[str]:
    """Names of the runs that exist, sorted."""
    return sorted(p.name for p in home().iterdir() if p.is_dir()) if home().is_dir() else []


def folder(notebook: str, run: str | None = None) -> Path:
    """Folder of one notebook in a run (the current one unless named); it may not exist yet."""
    return home() / _checked_name(run or current(), "run") / _checked_name(notebook, "notebook")


@dataclasses.dataclass
class Run:
    """One notebook's folder inside one run. Make it with `start`."""

    notebook: str
    folder: Path
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    finished: bool = False

    def path(self, name: str) -> Path:
        """Path of a file or folder `name` inside this notebook's folder; its parent exists afterwards."""
        target = (self.folder / name).resolve()
        if not target.is_relative_to(self.folder.resolve()):
            raise RunError(f"{name!r} leaves the folder of {self.notebook}; use a plain relative name")
        target.parent.mkdir(parents=True, exist_ok=True)
        return self.folder / name

    def log(self, **row: Any) -> None:
        """Append one row to `metrics.jsonl`; a value that is not finite is stored as null."""
        cells = {key: _finite_or_none(plain(value)) for key, value in row.items()}
        line = json.dumps(cells, ensure_ascii=False)
        # One O_APPEND write per row: two writers cannot interleave inside a line.
        handle = os.open(self.folder / "metrics.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, (line + "\n").encode("utf-8"))
        finally:
            os.close(handle)

    def record(
        self,
        name: str,
        value: Any,
        low: Any = None,
        high: Any = None,
        n: int | None = None,
        seeds: int | Sequence[int] | None = None,
        unit: str = "",
        note: str = "",
    ) -> None:
        """Keep one result row for `results.json`.

        Args:
            name: Unique within the notebook.
            value: Finite number, or an interval object with `value`, `low`, `high` (and `n`).
            low: Lower end of the interval, in the unit of `value`.
            high: Upper end of the interval.
            n: Number of items behind the value.
            seeds: Number of seeds, or the seeds themselves.
            unit: For example "share", "s", "images/s"; times and sizes count as properties of the machine.
            note: What a reader must know (for example "simulated").

        Raises:
            RunError: duplicate name, a number that is not finite, half an interval, or the run is finished.
        """
        if hasattr(value, "low") and hasattr(value, "high"):
            low, high, n = value.low, value.high, getattr(value, "n", None) if n is None else n
            value = value.value
        if self.finished:
            raise RunError(f"record({name!r}) came after finish(); move it up")
        if any(row["name"] == name for row in self.rows):
            raise RunError(f"result {name!r} is recorded twice in {self.notebook}; rename one")
        if (low is None) != (high is None):
            raise RunError(f"result {name!r} has half an interval ({low}, {high}); give both or none")
        ends = [None if end is None else _number(f"{name} interval", end) for end in (low, high)]
        if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
            raise RunError(f"result {name!r}: low {low} is above high {high}")
        row = {"name": name, "value": _number(name, value), "low": ends[0], "high": ends[1]}
        self.rows.append(row | {"n": plain(n), "seeds": plain(seeds), "unit": unit, "note": note})

    def save_figure(self, fig: Figure, name: str, alt: str) -> Any:
        """Save a figure as `figures/<name>.png` with its alt text as `<name>.txt`, and return it for display.

        Args:
            fig: Matplotlib figure; it is closed, so that the notebook does not show it a second time.
            name: File name without ending.
            alt: What a reader who cannot see the figure must be told; at least a few words.

        Returns:
            An IPython image that carries the alt text; leave it as the last expression of the cell.
        """
        if len(alt.split()) < 3:
            raise RunError(f"figure {name!r} needs an alt text that says what it shows, not {alt!r}")
        from IPython.display import Image

        buffer = io.BytesIO()
        fig.savefig(buffer, format="png", dpi=_FIGURE_DPI, bbox_inches="tight")
        write_atomic(self.path(f"figures/{name}.txt"), alt + "\n")
        write_atomic(self.path(f"figures/{name}.png"), buffer.getvalue())
        import matplotlib.pyplot as plt

        plt.close(fig)
        width = round(fig.get_size_inches()[0] * 96)
        return Image(data=buffer.getvalue(), format="png", width=width, alt=alt)

    def finish(self) -> pandas.DataFrame:
        """Write `results.json` (the mark of a finished notebook) and return the rows as a table to show."""
        import pandas

        if not self.rows:
            raise RunError(f"{self.notebook} finishes without a single recorded result")
        write_json(self.folder / "results.json", {"notebook": self.notebook, "rows": self.rows})
        self.finished = True
        return pandas.DataFrame(self.rows)


def start(notebook: str, config: Mapping[str, Any] | Any) -> Run:
    """Open a notebook's folder in the current run: old results go, config and environment are stored.

    Other files in the folder (checkpoints, judgments) stay: they may be what a user has worked for.

    Args:
        notebook: Name such as "02_language_supervision".
        config: Mapping or dataclass of plain values; becomes `config.json`.

    Returns:
        The `Run` to log, record and save with.
    """
    target = folder(notebook)
    target.mkdir(parents=True, exist_ok=True)
    # results.json first: from here on the folder does not count as finished.
    for name in ("results.json", "metrics.jsonl"):
        (target / name).unlink(missing_ok=True)
    shutil.rmtree(target / "figures", ignore_errors=True)
    write_json(target / "config.json", config)
    write_json(target / "env.json", environment())
    return Run(notebook, target)


def require(notebook: str, artifact: str) -> Path:
    """Path of another notebook's artifact in the current run.

    Raises:
        MissingArtifact: the notebook has not run, has not finished, or wrote no such file; says what to run.
        RunError: the strict runner knows nothing of this dependency (it is not among the notebook's `reads`).
    """
    _check_declared(notebook)
    source = folder(notebook)
    command = f"percept run {notebook} --run {current()}"
    if not (source / "results.json").is_file():
        state = "has not finished" if source.is_dir() else "has not run"
        others = [run for run in names() if (home() / run / notebook / "results.json").is_file()]
        hint = f" (runs that have it: {', '.join(others)}; choose one with PERCEPT_RUN)" if others else ""
        raise MissingArtifact(f"{notebook} {state} in run {current()!r}: run `{command}` first{hint}")
    if not (source / artifact).exists():
        present = ", ".join(sorted(p.name for p in source.iterdir() if not p.name.startswith(".")))
        raise MissingArtifact(f"{notebook} wrote no {artifact!r} (only {present}); run `{command} --force`")
    return source / artifact


def results(run: str, notebook: str | None = None) -> list[dict[str, Any]]:
    """Result rows of a run, each with its notebook under "notebook"; of one notebook if named.

    In a notebook under the strict runner, the current run shows only the notebooks that it declares to read.
    """
    base = home() / _checked_name(run, "run")
    if not base.is_dir():
        raise RunError(f"no run named {run!r}; known: {', '.join(names()) or 'none yet'}")
    if notebook is not None and not (base / notebook / "results.json").is_file():
        raise MissingArtifact(f"{notebook} has no results in run {run!r}; `percept run {notebook} --run {run}`")
    declared = _declared() if run == current() else None
    if notebook is not None and declared is not None:
        _check_declared(notebook)
    rows = []
    for path in sorted(base.glob(f"{notebook or '*'}/results.json")):
        if declared is None or path.parent.name in declared:
            content = json.loads(path.read_text("utf-8"))
            rows += [{"notebook": content["notebook"], **row} for row in content["rows"]]
    return rows


def compare(run_a: str, run_b: str) -> list[dict[str, Any]]:
    """Compare two runs row by row; see `percept.comparison.compare_rows` for what counts as moved."""
    return compare_rows(results(run_a), results(run_b))


def metrics(run: str, notebook: str) -> list[dict[str, Any]]:
    """Rows of a notebook's `metrics.jsonl`; a last line torn by a kill is left out."""
    path = folder(notebook, run) / "metrics.jsonl"
    if not path.is_file():
        return []
    lines = path.read_text("utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines if line]


def _declared() -> set[str] | None:
    """Notebooks that this one may read: set by the strict runner, None anywhere else."""
    names = os.environ.get("PERCEPT_READS")
    return None if names is None else set(names.split(","))


def _check_declared(notebook: str) -> None:
    declared = _declared()
    if declared is not None and notebook not in declared:
        raise RunError(f"this notebook reads {notebook} undeclared: add it to `percept.reads` in its metadata")


def _checked_name(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise RunError(f"{name!r} is no valid {what} name: use letters, digits, '-', '_' and '.'")
    return name


def _number(name: str, value: Any) -> int | float:
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RunError(f"result {name!r} must be a finite number, not {value!r}")
    return value


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
