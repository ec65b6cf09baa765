"""The strict notebook runner: checks everything first, reuses what is unchanged, leaves no half-valid state.

A notebook's folder holds `state.json` exactly while everything in it belongs to one finished execution: it
is removed before anything else changes and written after everything else is in place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from percept import runs
from percept.storage import BusyError, locked, write_json
from percept.workbook import fingerprints, notebooks
from percept.workbook.execution import PARTIAL, NotebookFailure, Progress, execute
from percept.workbook.notebooks import Notebook, NotebookError

# What a finished notebook leaves that no other notebook may depend on.
_NOT_INPUTS = (
    "state.json", "timing.json", "env.json", "executed.ipynb", "executed.html", "metrics.jsonl", "cache", PARTIAL
)  # fmt: skip
_HEARTBEAT_SECONDS = 30.0


@dataclasses.dataclass
class Outcome:
    """What became of one notebook: status is "ran", "reused", "failed" or "skipped"."""

    notebook: str
    status: str
    reason: str = ""
    wall_seconds: float = 0.0
    start_seconds: float = 0.0
    import_seconds: float = 0.0
    peak_mb: float = 0.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """A checked request: which notebooks, in which order, with which parameters, into which run."""

    notebooks: Mapping[str, Notebook]
    order: Sequence[str]
    parameters: Mapping[str, Mapping[str, Any]]
    run: str
    asked: frozenset[str]


def plan(
    names: Sequence[str] = (),
    *,
    profile: str = "quick",
    settings: Sequence[str] = (),
    run: str | None = None,
    notebooks_dir: Path | None = None,
) -> Plan:
    """Check a request before anything runs.

    Args:
        names: Notebooks by name or number; what they read is added. None means all.
        profile: "quick", "standard" or "full".
        settings: `name=value` texts; each goes to every notebook with such a parameter.
        run: Name of the run; the profile's name unless given.
        notebooks_dir: Folder of the notebooks; `notebooks/` unless given.

    Raises:
        NotebookError: anything that does not fit, with the known names and the nearest one.
    """
    if profile not in notebooks.PROFILES:
        raise NotebookError(notebooks.unknown("profile", profile, notebooks.PROFILES))
    found = notebooks.discover(notebooks_dir)
    asked = notebooks.resolve(names, found)
    chosen = notebooks.upstream(asked, found)
    order = [name for name in notebooks.ordered(found) if name in chosen]
    typed = notebooks.overrides(settings, [found[name] for name in order])
    for name in order:
        if "profile" in found[name].parameters:
            typed[name].setdefault("profile", profile)
    runs.folder("plan", run or profile)  # refuses a name that is no folder name
    return Plan(found, order, typed, run or profile, frozenset(asked))


def run_workbook(request: Plan, *, force: bool = False, out: Any = None) -> list[Outcome]:
    """Run a plan; a failure stops what depends on it and nothing else.

    Args:
        request: From `plan`.
        force: Run the notebooks that were asked for even if they are unchanged.
        out: Stream for progress and the closing table; standard output unless given.

    Returns:
        One outcome per notebook, in order. `runs/<run>/workbook.json` holds the same.
    """
    out = out or sys.stdout
    outcomes: dict[str, Outcome] = {}
    with _lock(runs.home() / request.run):
        for name in request.order:
            outcomes[name] = _one(request, name, outcomes, force and name in request.asked, out)
            write_json(runs.home() / request.run / "workbook.json", {"notebooks": list(outcomes.values())})
    print(table(list(outcomes.values())), file=out)
    return list(outcomes.values())


def pending(request: Plan) -> dict[str, str]:
    """Why each notebook would run now, "" for one that would be reused; a rerun upstream may add more."""
    return {
        name: _stale(runs.folder(name, request.run), _fingerprints(request, request.notebooks[name]))
        for name in request.order
    }


def table(outcomes: Sequence[Outcome]) -> str:
    """Outcomes as a text table; reused notebooks show what they cost when they ran."""
    head = f"{'notebook':<34} {'status':<8} {'wall s':>7} {'start s':>8} {'import s':>9} {'peak MB':>8}"
    lines = [
        f"{o.notebook:<34} {o.status:<8} {o.wall_seconds:7.1f} {o.start_seconds:8.1f} "
        f"{o.import_seconds:9.1f} {o.peak_mb:8.0f}"
        for o in outcomes
    ]
    spent = sum(o.wall_seconds for o in outcomes if o.status != "reused")
    peak = max((o.peak_mb for o in outcomes), default=0.0)
    counts = ", ".join(f"{sum(o.status == s for o in outcomes)} {s}" for s in ("ran", "reused", "failed", "skipped"))
    failures = [f"FAILED {o.reason}" for o in outcomes if o.status == "failed"]
    return "\n".join([head, *lines, f"{counts}; {spent:.1f} s, peak {peak:.0f} MB", *failures])


def _one(request: Plan, name: str, outcomes: Mapping[str, Outcome], force: bool, out: Any) -> Outcome:
    notebook, folder = request.notebooks[name], runs.folder(name, request.run)
    broken = [needed for needed in notebook.reads if outcomes[needed].status in ("failed", "skipped")]
    if broken:
        _say(out, f"{name}: skipped, it reads {', '.join(broken)}")
        return Outcome(name, "skipped", f"reads {', '.join(broken)}")
    wanted = _fingerprints(request, notebook)
    stale = "asked for with --force" if force else _stale(folder, wanted)
    if not stale:
        _say(out, f"{name}: reused, nothing changed")
        return Outcome(name, "reused", **json.loads((folder / "timing.json").read_text("utf-8")))
    _say(out, f"{name}: running ({stale})")
    try:
        return _execute(request, notebook, folder, wanted, out)
    except NotebookFailure as error:
        copy = f"{folder.parent.parent.name}/{request.run}/{name}/executed.ipynb"
        reason = f"{error}; partial copy: {copy}"
        _say(out, f"{name}: FAILED, {reason}")
        return Outcome(name, "failed", reason, wall_seconds=error.seconds, peak_mb=error.peak_mb)


def _execute(request: Plan, notebook: Notebook, folder: Path, wanted: Mapping[str, str], out: Any) -> Outcome:
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in ("state.json", "results.json", "timing.json", "executed.ipynb", "executed.html"):
        (folder / leftover).unlink(missing_ok=True)
    for torn in folder.glob(".*.tmp"):  # of a writer that was killed
        torn.unlink()
    environment = {
        "PERCEPT_RUN": request.run,
        "PERCEPT_HOME": str(runs.home().resolve()),
        "PERCEPT_READS": ",".join([notebook.name, *notebook.reads]),
    }
    parameters = request.parameters[notebook.name]
    timing = execute(notebook, parameters, folder, environment, _heartbeat(notebook.name, out))
    if not (folder / "results.json").is_file():
        raise NotebookFailure(f"{notebook.name} ended without results.json: its last cell must call run.finish()")
    outputs = fingerprints.of_folder(folder, _NOT_INPUTS)
    write_json(folder / "state.json", {"fingerprints": wanted, "outputs": outputs})
    return Outcome(notebook.name, "ran", **dataclasses.asdict(timing))


def _fingerprints(request: Plan, notebook: Notebook) -> dict[str, str]:
    """What the notebook's results depend on, by kind, so that the reason of a rerun can be named."""
    parameters = request.parameters[notebook.name]
    values = {name: parameter.default for name, parameter in notebook.parameters.items()}
    values.update(parameters)
    inputs = {name: _outputs(runs.folder(name, request.run)) for name in notebook.reads}
    cells = [[cell.cell_type, cell.source] for cell in notebook.node.cells]
    if any("studies" in source for _, source in cells):
        inputs["studies"] = fingerprints.of_folder(notebook.path.parent / "studies")
    data_dir = values.get("data_dir")
    if data_dir and (runs.ROOT / data_dir).is_dir():
        inputs["data_dir"] = fingerprints.of_listing(runs.ROOT / data_dir)
    return {
        "code": fingerprints.of_text(fingerprints.of_package(), json.dumps(cells)),
        "parameters": fingerprints.of_values(values),
        "inputs": fingerprints.of_values(inputs),
        "encoder": fingerprints.of_encoder(str(values.get("encoder", "percept-tiny"))),
        "library versions": fingerprints.of_environment(),
    }


def _stale(folder: Path, wanted: Mapping[str, str]) -> str:
    """Why a notebook must run, empty if its last execution can be reused."""
    state = _state(folder)
    if state is None:
        return "not finished before"
    changed = [kind for kind, value in wanted.items() if state["fingerprints"].get(kind) != value]
    if changed:
        return f"changed: {', '.join(changed)}"
    kept = (folder / "timing.json").is_file() and state["outputs"] == fingerprints.of_folder(folder, _NOT_INPUTS)
    return "" if kept else "its artifacts were changed by hand"


def _state(folder: Path) -> dict[str, Any] | None:
    path = folder / "state.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _outputs(folder: Path) -> str:
    state = _state(folder)
    return state["outputs"] if state else "unfinished"


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    try:
        with locked(folder / ".lock"):
            yield
    except BusyError as error:
        text = f"run {folder.name!r} is being executed by another process; wait, or choose --run NAME"
        raise NotebookError(text) from error


def _heartbeat(name: str, out: Any) -> Any:
    """A watcher that prints a line now and then, so that a log stays readable and a reader sees life."""
    last = [time.monotonic()]

    def watch(progress: Progress) -> None:
        if time.monotonic() - last[0] >= _HEARTBEAT_SECONDS:
            last[0] = time.monotonic()
            place = f"cell {progress.cell} of {progress.cells}"
            _say(out, f"{name}: {place}, {progress.seconds:.0f} s, peak {progress.peak_mb:.0f} MB")

    return watch


def _say(out: Any, text: str) -> None:
    print(text, file=out, flush=True)
