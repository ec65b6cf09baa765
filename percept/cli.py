"""The command `percept`: run, list, check, compare, study, embed, bench, figures, export.

Exit codes: 0 done, 1 something failed (or moved, or breaks the contract), 2 the request does not fit.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

# What the parser notes beside the options of a command.
_OF_EVERY_COMMAND = {"command", "name", "debug"}


class UsageError(ValueError):
    """What was asked for does not exist here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one `percept` command and return its exit code.

    An error that the package raises on purpose (a class of its own, or a missing file) is shown in one line;
    anything else is a defect and keeps its traceback.

    Args:
        arguments: Command line without the program name; `sys.argv` unless given.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    _end_on_sigterm()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("percept").setLevel(logging.INFO)
    try:
        return options.command(options)
    except KeyboardInterrupt:
        print("percept: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except Exception as error:
        if options.debug or not _is_users(error):
            raise
        print(f"percept {options.name}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="percept", description="Run and check the workbook, its studies and tools.")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    run = _command(commands, "run", _run, "run notebooks and what they read; unchanged ones are reused")
    run.add_argument("names", nargs="*", metavar="NAME", help="notebook name or number; all unless given")
    run.add_argument("--profile", default="quick", help="quick (default), standard or full")
    run.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    run.add_argument("--run", help="name of the run folder; the profile's name unless given")
    run.add_argument("--force", action="store_true", help="run the named notebooks even if unchanged")

    _command(commands, "list", _list, "list the notebooks with question, run time and parameters")

    check = _command(commands, "check", _check, "check the form of the notebooks")
    check.add_argument("names", nargs="*", metavar="NAME")
    check.add_argument("--fix", action="store_true", help="strip outputs and machine-made metadata first")

    compare = _command(commands, "compare", _compare, "tell what moved between two runs beyond its interval")
    compare.add_argument("run_a", metavar="RUN_A")
    compare.add_argument("run_b", metavar="RUN_B")
    compare.add_argument("--all", action="store_true", help="show also what is within its interval")
    compare.add_argument("--fail-on-moved", action="store_true", help="exit 1 if a result moved or is missing")

    study = _command(commands, "study", _study, "run the missing parts of a study")
    study.add_argument("study", metavar="NAME")
    study.add_argument("--hours", type=float, help="start nothing that would end later than this")
    study.add_argument("--restart", action="store_true", help="discard results of older code and begin anew")

    _add_tools(commands)
    return parser


def _add_tools(commands: Any) -> None:
    embed = _command(commands, "embed", _embed, "embed a folder of images, resumable, one file per shard")
    add_embed_options(embed)

    score = _command(commands, "score", _score, "score a folder of images with a model that notebook 05 made")
    score.add_argument("folder", type=Path)
    score.add_argument("--model", type=Path, required=True, help="folder of the score model")
    score.add_argument("--output", type=Path, help="CSV of the scores; FOLDER-scores.csv unless given")
    score.add_argument("--device", default="auto")
    score.add_argument("--batch-size", type=int, default=64)

    bench = _command(commands, "bench", _bench, "measure speed: scenes, embed, pretrain, align, score, probes")
    bench.add_argument("names", nargs="+", metavar="NAME")
    bench.add_argument("-o", "--option", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    bench.add_argument("--json", type=Path, metavar="PATH", help="write the rows as JSON too")

    figures = _command(commands, "figures", _figures, "draw the committed figures again")
    figures.add_argument("--folder", type=Path, default=None, help="figures/ at the repository root unless given")

    export = _command(commands, "export", _export, "make the web pages of a run again, or copy them elsewhere")
    export.add_argument("run", metavar="RUN")
    export.add_argument("--folder", type=Path, required=True, help="where the pages go, one per notebook")
    export.add_argument("--language", default="en", help="language code of the pages")


def add_embed_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `percept.embed.embed_folder`, by its names, to a parser."""
    kinds = ("embedding", "global", "cls_patch", "patch")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, help="folder of the shards; FOLDER-embeddings unless given")
    parser.add_argument("--encoder", default="percept-tiny")
    parser.add_argument("--pretrained", help="open_clip tag or weights file")
    parser.add_argument("--activation", help="activation of a weights file that comes without a config")
    parser.add_argument("--kind", default="embedding", choices=kinds)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--shard-size", type=int, default=1024)
    parser.add_argument("--strict", action="store_true", help="stop at the first unreadable image")


def _command(commands: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=function)
    return parser


def _run(options: argparse.Namespace) -> int:
    from percept.workbook import runner

    request = runner.plan(options.names, profile=options.profile, settings=options.settings, run=options.run)
    outcomes = runner.run_workbook(request, force=options.force)
    return int(any(outcome.status in ("failed", "skipped") for outcome in outcomes))


def _list(options: argparse.Namespace) -> int:
    from percept.workbook import notebooks

    found = notebooks.discover()
    print("\n".join(notebooks.describe(found[name]) for name in notebooks.ordered(found)))
    return 0


def _check(options: argparse.Namespace) -> int:
    from percept.workbook import contract, notebooks

    if options.fix:
        found = notebooks.discover()
        for name in sorted(notebooks.resolve(options.names, found)):
            if contract.strip(found[name].path):
                print(f"stripped {name}.ipynb")
    problems = contract.check(names=options.names)
    print("\n".join([*problems, f"{len(problems)} problems" if problems else "all notebooks keep the contract"]))
    return int(bool(problems))


def _compare(options: argparse.Namespace) -> int:
    from percept import comparison, runs

    rows = runs.compare(options.run_a, options.run_b)
    print(comparison.report(rows, everything=options.all))
    return int(options.fail_on_moved and any(row["status"] not in ("within", "machine") for row in rows))


def _study(options: argparse.Namespace) -> int:
    from percept.workbook import studies

    path = studies.run(
        options.study, hours=options.hours, restart=options.restart, say=lambda text: print(text, flush=True)
    )
    print(f"results: {path.name}")
    return 0


def _embed(options: argparse.Namespace) -> int:
    embed_folder = importlib.import_module("percept.embed").embed_folder
    report = embed_folder(**{name: value for name, value in vars(options).items() if name not in _OF_EVERY_COMMAND})
    for key, value in report.items():
        print(f"{key}: {value}")
    return 0


def _score(options: argparse.Namespace) -> int:
    from percept.score import score_folder

    written = score_folder(
        options.folder, options.model, options.output, device=options.device, batch_size=options.batch_size
    )
    print(f"scores: {written}")
    return 0


def _bench(options: argparse.Namespace) -> int:
    from percept import benchmarks, storage

    for name in options.names:
        benchmarks.check(name, options.settings)
    everything = {}
    for name in options.names:
        everything[name] = benchmarks.measure(name, options.settings)
        for row in everything[name]:
            value = f"{row['value']:>12.5g} {row.get('unit', ''):<12}"
            print(f"{name:<10} {row['name']:<44} {value} {row.get('note', '')}".rstrip(), flush=True)
    if options.json:
        storage.write_json(options.json, {"environment": storage.environment(), "benchmarks": everything})
    return 0


def _figures(options: argparse.Namespace) -> int:
    from percept.storage import ROOT
    from percept.workbook import committed

    for path in committed.draw_all(options.folder or ROOT / "figures"):
        print(path)
    return 0


def _export(options: argparse.Namespace) -> int:
    import nbformat

    from percept import runs, storage
    from percept.workbook import notebooks, webpage

    executed = sorted((runs.home() / options.run).glob("*/executed.ipynb"))
    if not executed:
        raise UsageError(notebooks.unknown("run", options.run, runs.names()))
    for path in executed:
        page = webpage.export(nbformat.read(path, as_version=4), path.parent.name, path.parent, options.language)
        print(storage.write_atomic(options.folder / f"{path.parent.name}.html", page))
    return 0


def _end_on_sigterm() -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)


def _is_users(error: Exception) -> bool:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError)
    return missing or type(error).__module__.startswith("percept.") or isinstance(error, UsageError)


if __name__ == "__main__":
    sys.exit(main())
