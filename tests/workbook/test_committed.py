"""Numbers that README and the model card quote are those of the committed study, and the study is not stale."""

from pathlib import Path

import pytest

import percept
from percept.evaluation.statistics import seed_interval
from percept.storage import ROOT
from percept.workbook import studies

CARD = Path(percept.__file__).parent / "models" / "tiny" / "README.md"


@pytest.fixture(scope="module")
def rows():
    study = studies.load("frozen_features")
    assert not study.stale
    assert not study.missing
    return study.table[study.table["arm"] == "percept-tiny"]


def test_readme_quotes_the_study(rows):
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())

    def share(column):
        return f"{100 * rows[column].mean():.0f} %"

    names = share("English prompts: seen drawings"), share("Japanese prompts: seen drawings")
    assert f"it names {names[0]} of held-out objects among 92 nouns in English and {names[1]} in Japanese" in text
    assert f"in {share('search en, first 1')} and {share('search ja, first 1')} of cases" in text
    assert f"another artist: {share('English prompts: another artist')}." in text
    assert f"New backgrounds: {share('English prompts: unseen backgrounds')}." in text


@pytest.mark.parametrize("shift", ["seen drawings", "unseen combinations", "another artist", "blur"])
def test_card_quotes_the_study(rows, shift):
    cells = [seed_interval(rows[f"{language} prompts: {shift}"]) for language in ("English", "Japanese")]
    line = " | ".join(f"{100 * i.value:.1f} % ({100 * i.low:.1f} to {100 * i.high:.1f})" for i in cells)
    assert f"| {shift} | {line} |" in CARD.read_text("utf-8")


def test_readme_quotes_the_study_of_alignment():
    study = studies.load("alignment")
    assert not study.stale
    assert not study.missing
    arms = {arm: rows.mean(numeric_only=True) for arm, rows in study.table.groupby("arm")}
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())

    def votes(arm, column="2AFC"):
        return f"{100 * arms[arm][column]:.1f} %"

    base, ceiling = votes("frozen", "frozen encoder"), votes("frozen", "ceiling")
    assert f"from {base} to {votes('LoRA')} of votes, where the noise ceiling is {ceiling}" in text
    first, second = votes("frozen", "linear read-out"), votes("frozen", "linear read-out, cls_patch")
    assert f"same frozen features reaches {first}, one of its patch features {second}" in text
    assert f"shuffled votes reach {votes('LoRA, shuffled votes')}" in text
    names = [f"{100 * arms[arm]['noun zero-shot']:.0f} %" for arm in ("frozen", "LoRA")]
    assert f"falls from {names[0]} to {names[1]}" in text
    lite = "efficientnet-lite0"
    first, last = votes(f"{lite}: frozen", "frozen encoder"), votes(f"{lite}: LoRA")
    assert f"gains from {first} to {last}, beyond its read-out ({votes(f'{lite}: frozen', 'linear read-out')})" in text


def test_readme_quotes_the_studies_of_sources_and_budgets():
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    sources, budgets = (
        {arm: rows.mean(numeric_only=True) for arm, rows in studies.load(name).table.groupby("arm")}
        for name in ("judgment_sources", "label_budget")
    )
    none, mid, random = sources["none"], sources["mid-level"], budgets["random"]
    scenes, same = "scene retrieval nDCG@10", "instance recall@1"
    shuffled = sources["mid-level, shuffled votes"][scenes]
    assert f"(nDCG@10) from {none[scenes]:.2f} to {mid[scenes]:.2f} (shuffled votes: {shuffled:.2f})" in text
    assert f"in another scene from {100 * none[same]:.0f} % to {100 * mid[same]:.0f} %" in text
    assert max(sources, key=lambda arm: sources[arm]["2AFC low-level"]) == "low-level"
    real = {arm: means["noun zero-shot"] for arm, means in sources.items() if "shuffled" not in arm}
    assert min(real, key=real.get) == "low-level"
    for task in (scenes, same, "noun zero-shot", "segmentation mIoU"):
        assert abs(sources["category"][task] - none[task]) < 0.04
    assert f"from {100 * random['frozen']:.1f} % to {100 * random['2AFC@1600']:.1f} % of votes" in text
    assert random["2AFC@1600"] >= max(budgets[way]["2AFC@1600"] for way in ("uncertainty", "disagreement"))
