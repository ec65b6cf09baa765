"""Studies: comparisons that take hours, kept per (arm, seed) so that they can be stopped and resumed.

A study is one module `notebooks/studies/NAME.py` with `BUDGET` (dict), `ARMS` and `SEEDS` (lists) and
`run(arm, seed, budget) -> dict of numbers`. Its results are committed beside it as `NAME.json`. Arms and seeds may be
added later; any other change of the module, or of what it imports from the package, makes results stale.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from percept import runs
from percept.storage import BusyError, locked, plain, write_json
from percept.workbook import fingerprints, notebooks

if TYPE_CHECKING:
    import pandas

_NEEDED = ("BUDGET", "ARMS", "SEEDS", "run")


class StudyError(ValueError):
    """A study cannot be run or read as asked."""


@dataclass(frozen=True)
class Study:
    """A study's numbers: one row per (arm, seed) with columns arm, seed, seconds and one per number.

    `stale` names what has changed since ("code", "encoder") and is empty if nothing has; show it.
    `missing` lists the (arm, seed) pairs that have not run.
    """

    table: pandas.DataFrame
    stale: str
    missing: tuple[tuple[str, int], ...]
    budget: Mapping[str, Any]
    date: str
    command: str


def names(folder: Path | None = None) -> list[str]:
    """Names of the studies that exist."""
    return sorted(path.stem for path in _home(folder).glob("[a-z]*.py"))


def _home(folder: Path | None) -> Path:
    return folder or notebooks.NOTEBOOKS / "studies"


def run(
    name: str,
    *,
    hours: float | None = None,
    restart: bool = False,
    folder: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Run the (arm, seed) pairs that are missing, all arms of one seed before the next seed.

    Several processes may run one study at a time: each takes pairs that no other has taken.

    Args:
        name: Name of the study module.
        hours: Start no pair that would end later than this (judged by the longest so far).
        restart: Begin anew; the old results stay until the first new pair is finished. Other processes join after that,
            without it.
        folder: Folder of the studies; `notebooks/studies/` unless given.
        say: Receives one line of progress per pair.

    Returns:
        Path of the results, rewritten atomically after every pair: a kill loses the pair under way, no more.

    Raises:
        StudyError: unknown study, a module without the needed names, or old results of other code.
    """
    folder = _home(folder)
    module = _module(name, folder)
    target = folder / f"{name}.json"
    _pairs(_fresh(name, module, folder), module, target, restart, math.inf if hours is None else hours * 3600, say)
    return target


def load(name: str, folder: Path | None = None) -> Study:
    """Read a study's committed results; changed code or encoder makes it stale, which is no error.

    Raises:
        StudyError: there are no results yet.
    """
    import pandas

    folder = _home(folder)
    target = folder / f"{name}.json"
    if not target.is_file():
        raise StudyError(f"study {name!r} has no results: run `percept study {name}`")
    record = json.loads(target.read_text("utf-8"))
    rows = [
        {"arm": row["arm"], "seed": row["seed"], "seconds": row["seconds"], **row["numbers"]} for row in record["rows"]
    ]
    return Study(
        table=pandas.DataFrame(rows, columns=None if rows else ["arm", "seed", "seconds"]),
        stale=", ".join(_changed(record, _prints(name, folder))),
        missing=tuple(_missing(record)),
        budget=record["budget"],
        date=record["date"],
        command=record["command"],
    )


def show(name: str, folder: Path | None = None) -> pandas.DataFrame | None:
    """Say in one line what a study's results are worth, and return their table; None if there are none yet."""
    try:
        study = load(name, folder)
    except StudyError as error:
        print(f"{error}; left out here")
        return None
    stale = f" - STALE: {study.stale} changed since" if study.stale else ""
    left = f" - {len(study.missing)} still missing" if study.missing else ""
    print(f"study {name}, {study.date[:10]}, {len(study.table)} runs{left}{stale}, budget {dict(study.budget)}")
    return study.table


def _module(name: str, folder: Path) -> ModuleType:
    path = folder / f"{name}.py"
    if name not in names(folder):
        raise StudyError(notebooks.unknown("study", name, names(folder)))
    spec = importlib.util.spec_from_file_location(f"percept_study_{name}", path)
    if spec is None or spec.loader is None:
        raise StudyError(f"{path.name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lacking = [needed for needed in _NEEDED if not hasattr(module, needed)]
    if lacking:
        raise StudyError(f"{path.name} lacks {', '.join(lacking)}")
    return module


def _prints(name: str, folder: Path) -> dict[str, str]:
    source = folder / f"{name}.py"
    try:
        code = fingerprints.of_imports(_without_extent(source.read_text("utf-8"))) if source.is_file() else "gone"
    except fingerprints.UnknownModuleError as error:
        code = f"unreadable: {error}"
    return {"code": code, "encoder": fingerprints.of_encoder()}


def _without_extent(source: str) -> str:
    """A study's source without its ARMS and SEEDS: more of them add results and change none."""
    lines = source.split("\n")
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id in ("ARMS", "SEEDS") for target in targets):
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
    return "\n".join(lines)


def _changed(record: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    return [kind for kind, value in now.items() if record["fingerprints"].get(kind) != value]


def _fresh(name: str, module: ModuleType, folder: Path) -> dict[str, Any]:
    """The record of a study before its first pair."""
    fresh = {
        "study": name,
        "command": f"percept study {name}",
        "date": "",
        "budget": plain(module.BUDGET),
        "arms": list(module.ARMS),
        "seeds": list(module.SEEDS),
        "fingerprints": _prints(name, folder),
        "rows": [],
    }
    if fresh["fingerprints"]["code"].startswith("unreadable"):
        raise StudyError(f"code of study {name!r} is {fresh['fingerprints']['code']}")
    return fresh


def _open(fresh: dict[str, Any], target: Path, restart: bool) -> dict[str, Any]:
    """The record with what is on the disk, unless that came from something else."""
    if restart or not target.is_file():
        return fresh | {"rows": []}
    old = json.loads(target.read_text("utf-8"))
    changed = _changed(old, fresh["fingerprints"])
    if old["budget"] != fresh["budget"]:
        changed.append("budget")
    if changed:
        raise StudyError(
            f"{target.name} has {len(old['rows'])} results of other {', '.join(changed)}; mixed results are "
            f"no comparison: keep these (shown as stale) or remake all: percept study {fresh['study']} --restart"
        )
    return fresh | {"rows": old["rows"], "date": old["date"]}


def _missing(record: Mapping[str, Any]) -> list[tuple[str, int]]:
    done = {(row["arm"], row["seed"]) for row in record["rows"]}
    return [(arm, seed) for seed in record["seeds"] for arm in record["arms"] if (arm, seed) not in done]


def _pairs(
    fresh: dict[str, Any], module: ModuleType, target: Path, restart: bool, seconds: float, say: Callable[[str], None]
) -> None:
    name, begin, locks = fresh["study"], time.monotonic(), runs.home() / ".studies"
    missing = _missing(_open(fresh, target, restart))
    total = len(fresh["arms"]) * len(fresh["seeds"])
    say(f"{name}: {total - len(missing)} of {total} pairs done before")
    for arm, seed in missing:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(locks / f"{name}-{fingerprints.of_text(arm, str(seed))}.lock"))
            except BusyError:
                continue  # another process is at it
            record = _open(fresh, target, restart)
            if (arm, seed) not in _missing(record):
                continue  # another process has done it meanwhile
            longest = max((row["seconds"] for row in record["rows"]), default=0.0)
            if time.monotonic() - begin + longest > seconds:
                say(f"{name}: time is up, {len(_missing(record))} pairs left; the same command goes on")
                return
            row = _row(module, arm, seed)
            with locked(locks / f"{name}.lock", wait=True):
                record = _open(fresh, target, restart)
                date = datetime.now(UTC).isoformat(timespec="seconds")
                write_json(target, record | {"rows": _in_order([*record["rows"], row], record), "date": date})
            restart = False
            say(f"{name}: arm {arm}, seed {seed} took {row['seconds']:.0f} s")


def _row(module: ModuleType, arm: str, seed: int) -> dict[str, Any]:
    started = time.monotonic()
    numbers = plain(dict(module.run(arm, seed, dict(module.BUDGET))))
    # What cannot be written as JSON (NaN, infinity) is kept as "no number" rather than losing the pair.
    numbers = {key: None if not math.isfinite(value) else value for key, value in numbers.items()}
    return {"arm": arm, "seed": seed, "numbers": numbers, "seconds": round(time.monotonic() - started, 2)}


def _in_order(rows: list[dict[str, Any]], record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows in the order of seeds and arms, whoever was first; pairs that are no longer asked for come last."""
    places = {pair: place for place, pair in enumerate(_missing({**record, "rows": []}))}
    return sorted(rows, key=lambda row: places.get((row["arm"], row["seed"]), len(places)))
