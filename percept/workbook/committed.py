"""The figures that README shows, drawn from scenes and from the committed studies: `percept figures`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from percept.data import scenes
from percept.evaluation.statistics import seed_interval
from percept.storage import write_atomic
from percept.viz import alignment, alt, curves, figures, pictures, style
from percept.workbook import studies

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOTE = "95 % t interval over test draws; one trained model"
_ARTWORK = "Drawings: OpenMoji and Twemoji; this figure is CC BY-SA 4.0."


def draw_all(folder: Path) -> list[Path]:
    """Draw every committed figure as PNG with its alternative text beside it.

    Args:
        folder: where they go.

    Returns:
        Paths of the PNG files.
    """
    style.use_style()
    drawn = {
        "scenes": _scenes(), "language_shifts": _shifts(), "few_labels": _few_labels(), "textile": _textile(),
        "agreement": _agreement(),
    }  # fmt: skip
    return [_save(folder, name, figure, text) for name, (figure, text) in drawn.items()]


def _save(folder: Path, name: str, figure: Figure, text: str) -> Path:
    import io

    buffer = io.BytesIO()
    # Without the date and the library's version the same figure gives the same file.
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    write_atomic(folder / f"{name}.png", buffer.getvalue())
    write_atomic(folder / f"{name}.txt", text + "\n")
    return folder / f"{name}.png"


def _scenes() -> tuple[Figure, str]:
    """Four scenes with captions, in the three renderings."""
    made = [scenes.scene(index) for index in scenes.SPLITS["validate"][:400]]
    chosen = [scene for scene in made if scene.action and len(scene.named) in (2, 3)][:5]
    captions = [f"{item.captions('en')[-1]}\n{item.captions('ja')[-1]}" for item in chosen]
    rows = [[scenes.picture(item, 160, look) for item in chosen] for look in ("color", "line", "twemoji")]
    labels = captions + ["outlines alone"] * 5 + ["another artist"] * 5
    figure = pictures.image_grid([image for row in rows for image in row], labels, columns=5, cell=1.7)
    english = "; ".join(caption.partition("\n")[0] for caption in captions)
    return (
        figure,
        f"Five scenes in three renderings (trained on, outlines alone, another artist): {english}. {_ARTWORK}",
    )


def _shifts() -> tuple[Figure, str]:
    """Zero-shot accuracy of percept-tiny under every shift, both languages."""
    table = studies.load("frozen_features").table
    rows = table[table["arm"] == "percept-tiny"]
    bars = {
        title: {
            column.partition(": ")[2]: seed_interval(rows[column]) for column in rows if column.startswith(f"{title}:")
        }
        for title in ("English prompts", "Japanese prompts")
    }
    chance = 1 / len(scenes.nouns())
    title = f"percept-tiny names {len(scenes.nouns())} nouns it was given as sentences only"
    figure = figures.accuracy_bars(bars, title=title, note=_NOTE, chance=chance)
    return figure, alt.describe_values("Zero-shot accuracy, English prompts", bars["English prompts"], chance)


def _textile() -> tuple[Figure, str]:
    """Probes on the textile inspection images, local and global defects apart."""
    table = studies.load("frozen_features").table
    tasks = ["textile inspection", *(f"textile inspection, {kind}" for kind in ("nominal", "local", "global"))]
    bars = {arm: {task: seed_interval(rows[task]) for task in tasks} for arm, rows in table.groupby("arm", sort=False)}
    title = "Inspecting simulated textiles with 40 good and 40 bad examples"
    figure = figures.accuracy_bars(bars, title=title, note="95 % t interval over draws of images", chance=0.5)
    return figure, "; ".join(alt.describe_values(arm, row, 0.5) for arm, row in bars.items())


def _agreement() -> tuple[Figure, str]:
    """What agrees with simulated raters: plain distances, read-outs, alignment, ceiling."""
    table = studies.load("alignment").table
    arms = {arm: rows.set_index("seed") for arm, rows in table.groupby("arm", sort=False)}
    frozen = arms["frozen"]
    known = ["pixels", "frozen encoder", "linear read-out", "linear read-out, cls_patch", "attribute oracle"]
    ways = {name: seed_interval(frozen[name]) for name in known}
    for arm in ("LoRA, shuffled votes", "LoRA", "full fine-tuning"):
        ways[arm] = seed_interval(arms[arm]["2AFC"])
    second = "efficientnet-lite0"
    ways[f"{second}: frozen"] = seed_interval(arms[f"{second}: frozen"]["frozen encoder"])
    ways[f"{second}: LoRA"] = seed_interval(arms[f"{second}: LoRA"]["2AFC"])
    title, note = "Agreement with simulated raters", "95 % t interval over five draws of scenes, raters and votes"
    ceiling = seed_interval(frozen["ceiling"])
    figure = alignment.agreement_figure(ways, ceiling=ceiling, chance=None, title=title, note=note)
    text = alt.describe_values(f"{title}, noise ceiling {ceiling.value:.3f}", ways, 0.5)
    return figure, text


def _few_labels() -> tuple[Figure, str]:
    """Few-shot curves on scenes for the three ways to describe a picture."""
    table = studies.load("frozen_features").table
    shots = [int(column.split("@")[1]) for column in table if column.startswith("scenes@")]
    by_arm: dict[str, dict[str, Any]] = {
        arm: {"shots": shots, "interval": [seed_interval(rows[f"scenes@{k}"]) for k in shots]}
        for arm, rows in table.groupby("arm", sort=False)
    }
    named = seed_interval(table.loc[table["arm"] == "percept-tiny", "English prompts: seen drawings"])
    figure = curves.few_shot_figure(
        by_arm,
        zero_shot={"percept-tiny": named},
        chance=1 / len(scenes.nouns()),
        title="What sentences are worth in labels",
        note=_NOTE,
    )
    series = {arm: (shots, [interval.value for interval in row["interval"]]) for arm, row in by_arm.items()}
    return figure, alt.describe_series("Accuracy on scenes by labelled images per class", series)
