"""Study: what frozen features are worth, over several draws of scenes, pictures and labels.

Arms are three ways to describe a picture: percept-tiny, EfficientNet-Lite0 (ImageNet) and plain statistics of pixels
and textures. A seed draws other scenes, other labelled pictures and another split of the textile images; the models are
the same, so intervals over seeds say nothing about training another one. For percept-tiny, zero-shot naming under every
shift and search by sentence are measured as well. Shuffled training labels are the negative control of the probes.
"""

from functools import cache
from tempfile import mkdtemp

import numpy as np

from percept.data.scenes import SPLITS, render
from percept.evaluation import language, transfer

BUDGET = {
    "shots": [1, 2, 4, 8, 16], "test_per_noun": 6, "naming_per_noun": 10, "search": 800,
    "digits": [500, 300], "textile": [40, 40, 60],
}  # fmt: skip
ARMS = ["statistics", "efficientnet-lite0", "percept-tiny"]
SEEDS = [0, 1, 2]


@cache
def _ways() -> dict[str, transfer.Describe]:
    return transfer.describers(mkdtemp(prefix="percept-"))


def run(arm: str, seed: int, budget: dict) -> dict[str, float]:
    """All tasks for one way of describing and one seed."""
    describe = _ways()[arm]
    numbers: dict[str, float] = {}
    objects = transfer.scene_task(max(budget["shots"]), budget["test_per_noun"], seed)
    curve = transfer.learning_curve(objects, describe, budget["shots"], draws=1, seed=seed)
    numbers |= {f"scenes@{k}": float(value) for k, value in zip(budget["shots"], curve["accuracy"][0], strict=True)}
    tasks = [
        transfer.digit_task(*budget["digits"], seed=seed),
        transfer.texture_task(seed),
        transfer.textile_task(*budget["textile"], seed=2025 + seed),
    ]
    for task in tasks:
        result = transfer.probe(task, describe)
        numbers[task.name] = result["acc1"]
        numbers[f"{task.name}, shuffled labels"] = transfer.probe(shuffled(task, seed), describe)["acc1"]
        numbers |= {f"{task.name}, {group}": float(np.mean(right)) for group, right in result["groups"].items()}
    textiles = transfer.learning_curve(tasks[-1], describe, budget["shots"], draws=3, seed=seed)
    for k, value in zip(budget["shots"], textiles["accuracy"].mean(0), strict=True):
        numbers[f"textile@{k}"] = float(value)
    if arm == "percept-tiny":
        numbers |= with_language(seed, budget)
    return numbers


def shuffled(task: transfer.Task, seed: int) -> transfer.Task:
    """The task with the labels of its training and validation pictures permuted."""
    rng = np.random.default_rng(seed)
    mixed = {part: rng.permutation(task.labels[part]) for part in ("train", "validate")}
    return task._replace(labels={**task.labels, **mixed})


def with_language(seed: int, budget: dict) -> dict[str, float]:
    """Zero-shot naming under shifts and search, which need a text tower."""
    from percept import load_encoder

    encoder = load_encoder("percept-tiny", device="cpu")
    numbers = {}
    for title, table in language.naming(encoder, language.scene_sets(budget["naming_per_noun"], seed)).items():
        numbers |= {f"{title}: {row.shift}": float(row.value) for row in table.itertuples()}
    gallery = SPLITS["test"][90_000 + seed * budget["search"] :][: budget["search"]]
    pictures = render(gallery)
    for code in language.TITLES:
        found = language.search(encoder, gallery, pictures, code)
        numbers |= {f"search {code}, first {k}": float(np.mean(found.ranks <= k)) for k in (1, 5, 10)}
        numbers["search chance"] = found.chance
    return numbers
