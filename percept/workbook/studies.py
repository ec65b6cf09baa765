"""Studies: comparisons that take hours, kept per (arm, seed) so that they can be stopped and resumed.

A study is one module `notebooks/studies/NAME.py` with `BUDGET` (dict), `ARMS` and `SEEDS` (lists) and
`run(arm, seed, budget) -> dict of numbers`. Its results are committed beside it as `NAME.json`. Arms and seeds may be
added later; any other change of the module, or of what it imports from the package, makes results stale.
"""

from __future__ import annotations

import ast
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

    Args:
        name: Name of the study module.
        hours: Start no pair that would end later than this (judged by the longest so far).
        restart: Begin anew; the old results stay until the first new pair is finished.
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
    try:
        with locked(runs.home() / ".studies" / f"{name}.lock"):
            record = _open(name, module, target, restart, folder)
            _pairs(record, module, target, math.inf if hours is None else hours * 3600, say)
    except BusyError as error:
        raise StudyError(f"study {name!r} is being run by another process") from error
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


def _open(name: str, module: ModuleType, target: Path, restart: bool, folder: Path) -> dict[str, Any]:
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
    if restart or not target.is_file():
        return fresh
    old = json.loads(target.read_text("utf-8"))
    changed = _changed(old, fresh["fingerprints"])
    if old["budget"] != fresh["budget"]:
        changed.append("budget")
    if changed:
        raise StudyError(
            f"{target.name} has {len(old['rows'])} results of other {', '.join(changed)}; mixed results are "
            f"no comparison: keep these (shown as stale) or remake all: percept study {name} --restart"
        )
    return fresh | {"rows": old["rows"], "date": old["date"]}


def _missing(record: Mapping[str, Any]) -> list[tuple[str, int]]:
    done = {(row["arm"], row["seed"]) for row in record["rows"]}
    return [(arm, seed) for seed in record["seeds"] for arm in record["arms"] if (arm, seed) not in done]


def _pairs(
    record: dict[str, Any], module: ModuleType, target: Path, seconds: float, say: Callable[[str], None]
) -> None:
    begin, missing = time.monotonic(), _missing(record)
    total = len(record["arms"]) * len(record["seeds"])
    say(f"{record['study']}: {total - len(missing)} of {total} pairs done before")
    for arm, seed in missing:
        longest = max((row["seconds"] for row in record["rows"]), default=0.0)
        if time.monotonic() - begin + longest > seconds:
            say(f"{record['study']}: time is up, {len(_missing(record))} pairs left; the same command goes on")
            return
        started = time.monotonic()
        numbers = plain(dict(module.run(arm, seed, dict(module.BUDGET))))
        # What cannot be written as JSON (NaN, infinity) is kept as "no number" rather than losing the pair.
        numbers = {key: None if not math.isfinite(value) else value for key, value in numbers.items()}
        row = {"arm": arm, "seed": seed, "numbers": numbers, "seconds": round(time.monotonic() - started, 2)}
        record["rows"].append(row)
        record["date"] = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(target, record)
        say(f"{record['study']}: arm {arm}, seed {seed} took {row['seconds']:.0f} s")
