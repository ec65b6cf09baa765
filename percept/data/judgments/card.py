"""The data card: what someone must know who meets an export without its author."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pandas as pd

from percept.data.judgments.rows import TASKS, answers_of
from percept.data.judgments.store import Judgments
from percept.data.judgments.votes import descriptions_table

NOT_STATED = "not stated"


def data_card(
    store: Judgments,
    study: str | None = None,
    *,
    rater: str | None = None,
    licence: str = NOT_STATED,
    written: Mapping[str, int] | None = None,
) -> str:
    """Describe judgments in Markdown: who, how many, how chosen, consent, agreement, licence, limits.

    Raters appear as numbers and groups, never by their pseudonyms.

    Args:
        store: Where the answers are.
        study: One study, or all that have answers.
        rater: Describe one rater's answers only.
        licence: Of the answers.
        written: Counts of what an export wrote and left out.
    """
    answers = store.answers(study, rater, include_undone=True)
    chosen = [study] if study else list(answers["study"].unique())
    studies = store.studies().set_index("name").loc[chosen]
    nouns = {TASKS[task].noun for task in studies["task"]}
    noun = nouns.pop() if len(nouns) == 1 else "question" if nouns else "triplet"
    skip = "nothing to describe" if set(studies["task"]) == {"describe"} else "can't tell"
    imported = sum(int(store.items(name)[["votes_left", "votes_right"]].to_numpy().sum()) for name in chosen)
    people = store.raters()
    people = people[people["rater"].isin(answers["rater"])]
    counted = answers[answers["undone"].isna()]
    sections = {
        "Who": _who(people, imported),
        "How many": [
            *_how_many(answers, counted, noun, skip, sum(len(store.items(name)) for name in chosen)),
            *_descriptions(store, studies["task"], people),
            *(f"in this export, {name}: {count}" for name, count in (written or {}).items()),
        ],
        f"How the {noun}s were chosen": [
            f"{name}: {row['sampling'] or NOT_STATED}" for name, row in studies.iterrows()
        ],
        "Notes": [f"{name}: {row['note']}" for name, row in studies.iterrows() if row["note"]] or ["none"],
        "Consent text that was shown": _consents(people),
        "Agreement": _agreement(counted, studies["task"], noun),
        "Licence": [f"of the answers: {licence}", "of the pictures: not covered by this card"],
        "Limits": _limits(people, counted, imported),
    }
    title = f"# Data card: {', '.join(chosen) or 'no answers'}\n\nWritten {datetime.now(UTC):%Y-%m-%d} (UTC).\n"
    parts = (
        f"## {name}\n\n" + "".join(f"- {' '.join(line.split())}\n" for line in lines)
        for name, lines in sections.items()
    )
    return "\n".join([title, *parts])


def _who(people: pd.DataFrame, imported: int) -> list[str]:
    lines = [f"raters: {len(people)} (known by pseudonyms only)"]
    lines += [f"group {group or NOT_STATED}: {n}" for group, n in people["group"].value_counts(sort=False).items()]
    lines += [f"language {language}: {n}" for language, n in people["language"].value_counts(sort=False).items()]
    return [*lines, f"votes imported without raters: {imported}"] if imported else lines


def _how_many(answers: pd.DataFrame, counted: pd.DataFrame, noun: str, skip: str, items: int) -> list[str]:
    asked = counted[counted["kind"] == "ask"]
    each = asked.groupby(["study", "triplet"]).size()
    lines = [
        f"{noun}s: {items}, answered: {len(each)}",
        f'first answers: {len(asked)}, of these "{skip}": {(asked["answer"] == "skip").sum()}',
        f"repeats as attention checks: {(counted['kind'] == 'repeat').sum()}",
        f"taken back: {len(answers) - len(counted)}",
    ]
    if len(asked):
        lines.append(f"raters per answered {noun}: {each.min()} to {each.max()}, median {each.median():g}")
        timed, dated = asked["seconds"].dropna(), asked["time"].dropna()
        lines.append(f"response time: {f'median {timed.median():.1f} s' if len(timed) else 'not recorded'}")
        dates = f"{dated.min():%Y-%m-%d} to {dated.max():%Y-%m-%d}" if len(dated) else "not recorded"
        lines.append(f"dates (UTC): {dates}")
    return lines


def _descriptions(store: Judgments, tasks: pd.Series, people: pd.DataFrame) -> list[str]:
    tables = [descriptions_table(store, str(name)) for name, task in tasks.items() if task == "describe"]
    if not tables:
        return []
    table = pd.concat(tables)
    table = table[table["rater"].isin(people["rater"])]
    whole = int(table["box"].isna().sum())
    return [
        f"descriptions of whole pictures: {whole}, of boxes: {len(table) - whole}",
        *(
            f"descriptions in {name or 'a language not stated'}: {n}"
            for name, n in table["language"].value_counts().items()
        ),
    ]


def _consents(people: pd.DataFrame) -> list[str]:
    texts = people[["language", "consent"]].drop_duplicates().itertuples(index=False)
    return [f"({language}) {text or NOT_STATED}" for language, text in texts] or [NOT_STATED]


def _agreement(counted: pd.DataFrame, tasks: pd.Series, noun: str) -> list[str]:
    lines = [
        f"{name}: descriptions are not compared between raters"
        if task == "describe"
        else _spread(counted[counted["study"] == name], str(name), answers_of(task))
        for name, task in tasks.items()
        if TASKS[task].noun == "picture"
    ]
    return lines if lines and len(lines) == len(tasks) else [*_choices(counted, noun), *lines]


def _spread(counted: pd.DataFrame, name: str, scale: str) -> str:
    """How far ratings of one picture are apart, between raters and within one."""
    told = counted.assign(score=pd.to_numeric(counted["answer"], errors="coerce")).dropna(subset="score")
    asked, again = (told[told["kind"] == kind] for kind in ("ask", "repeat"))
    score = asked.groupby("triplet")["score"]
    squares, free = ((asked["score"] - score.transform("mean")) ** 2).sum(), (score.count() - 1).sum()
    both = asked.merge(again, on=["rater", "triplet"])
    apart = (both["score_x"] - both["score_y"]).abs()
    between = f"{(squares / free) ** 0.5:.2g}" if free else "unknown"
    within = f"{apart.mean():.2g} ({len(apart)})" if len(apart) else "unknown"
    return (
        f"{name}: {scale}; standard deviation between raters of one picture: {between}; "
        f"mean difference of a repeat from the first rating: {within}"
    )


def _choices(counted: pd.DataFrame, noun: str) -> list[str]:
    told = counted[counted["answer"].isin(["left", "right"])]
    asked, again = (told[told["kind"] == kind] for kind in ("ask", "repeat"))
    votes = asked.groupby(["study", "triplet"])["answer"].agg(["size", lambda column: (column == "right").sum()])
    n, right = votes.to_numpy().T if len(votes) else ((), ())
    pairs = sum(int(a * (a - 1) // 2) for a in n)
    agreeing = sum(int(r * (r - 1) + (a - r) * (a - r - 1)) // 2 for a, r in zip(n, right, strict=True))
    both = asked.merge(again, on=["study", "rater", "triplet"])
    same = int((both["answer_x"] == both["answer_y"]).sum())
    shown_left = int(((told["answer"] == "left") != told["swapped"]).sum())
    return [
        f"pairs of raters who agree on a {noun}: {_share(agreeing, pairs)}",
        f"repeats answered as before: {_share(same, len(both))}",
        f"answers for the picture shown on the left: {_share(shown_left, len(told))}",
    ]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%} ({part} of {whole})" if whole else "none to count"


def _limits(people: pd.DataFrame, counted: pd.DataFrame, imported: int) -> list[str]:
    lines = ["valid for these pictures, this question and these raters; whom they stand for is not measured here"]
    if len(people) == 1 and not imported:
        lines.append("one rater: nothing can be said about agreement between people")
    if (people["consent"] == "").any():
        lines.append("for some raters no consent text is known")
    if people["consent"].str.contains("simulated", case=False).any():
        lines.append("some raters are simulated: their answers are no human judgments")
    if (counted["kind"] == "entry").any():
        lines.append("descriptions are free text: read them before passing them on, they may name people or secrets")
    if not (counted["kind"] == "repeat").any():
        lines.append("no repeats: attention was not checked")
    return lines
