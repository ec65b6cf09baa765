"""Transfer tasks: parts do not overlap, labels carry signal, shuffled labels do not."""

import numpy as np
import pytest
from PIL import Image

from percept.evaluation import transfer


def statistics(images):
    return np.stack([images.mean((1, 2, 3)), images.std((1, 2, 3))], axis=1)


def planted(seed=0):
    """Two classes that differ in brightness."""
    rng = np.random.default_rng(seed)
    labels = {part: np.repeat([0, 1], 20) for part in transfer.PARTS}
    images = {
        part: (rng.normal(80, 10, (40, 8, 8, 3)) + 90 * values[:, None, None, None]).clip(0, 255).astype(np.uint8)
        for part, values in labels.items()
    }
    return transfer.Task("planted", images, labels, groups=("dark",) * 20 + ("bright",) * 20)


def test_probe_finds_a_planted_difference_and_groups_add_up():
    task = planted()
    result = transfer.probe(task, statistics)
    assert result["acc1"] > 0.95
    assert set(result["groups"]) == {"dark", "bright"}
    assert sum(right.sum() for right in result["groups"].values()) == result["correct"].sum()


def test_a_feature_that_is_dead_in_training_does_not_decide():
    """One feature is all but constant on the training part and wild elsewhere; uncut it outvotes fifty good ones."""
    task = planted()
    rng = np.random.default_rng(5)

    def with_dead_feature(images):
        training = images is task.images["train"]
        dead = rng.normal(0, 1e-4, len(images)) if training else rng.normal(0, 1, len(images)) ** 3
        return np.column_stack([np.repeat(statistics(images)[:, :1], 50, axis=1), dead])

    found = transfer.describe_task(task, with_dead_feature)
    assert max(np.abs(values).max() for values in found.values()) <= 10
    assert transfer.probe(task, with_dead_feature)["acc1"] > 0.9


def test_shuffled_labels_are_near_chance():
    task = planted()
    rng = np.random.default_rng(3)
    mixed = task._replace(labels={part: rng.permutation(values) for part, values in task.labels.items()})
    assert abs(transfer.probe(mixed, statistics)["acc1"] - 0.5) < 0.3


def test_features_are_scaled_by_the_training_part_alone():
    task = planted()
    found = transfer.describe_task(task, statistics)
    assert np.allclose(found["train"].mean(0), 0)
    assert np.allclose(found["train"].std(0), 1)
    raw = statistics(task.images["train"]), statistics(task.images["test"])
    assert np.allclose(found["test"], (raw[1] - raw[0].mean(0)) / raw[0].std(0))


@pytest.mark.parametrize(
    ("task", "classes"),
    [
        (lambda: transfer.digit_task(60, 40), 10),
        (transfer.texture_task, 3),
        (lambda: transfer.textile_task(4, 4, 4), 2),
        (lambda: transfer.scene_task(1, 1), 92),
    ],
)
def test_tasks_share_no_picture_between_parts(task, classes):
    made = task()
    assert made.classes == classes
    seen = [{image.tobytes() for image in made.images[part]} for part in transfer.PARTS]
    assert len(seen[0] | seen[1] | seen[2]) == sum(map(len, seen))
    for part in transfer.PARTS:
        assert len(made.images[part]) == len(made.labels[part])


def test_seeds_draw_other_pictures():
    for task in (lambda seed: transfer.digit_task(60, 40, seed), transfer.texture_task):
        first, second = ({image.tobytes() for image in task(seed).images["test"]} for seed in (0, 1))
        assert first != second


def test_a_users_folder_becomes_a_task(tmp_path):
    rng = np.random.default_rng(0)
    for name, level, count in (("good", 60, 9), ("bad", 190, 8)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = rng.normal(level, 12, (80, 700 if number == 0 else 96, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    (tmp_path / "good" / "broken.png").write_bytes(b"no picture")
    task = transfer.folder_task(tmp_path, side=512)
    assert task.names == ("bad", "good")
    assert {part: len(rows) for part, rows in task.labels.items()} == {"train": 9, "validate": 4, "test": 4}
    assert max(image.width for image in task.images["train"] + task.images["validate"] + task.images["test"]) <= 512
    assert transfer.probe(task, statistics)["acc1"] == 1.0


def test_a_folder_without_labels_or_with_too_few_is_refused(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((70, 70, 3), np.uint8)).save(tmp_path / name / "a.png")
    with pytest.raises(ValueError, match="one: 1, two: 1"):
        transfer.folder_task(tmp_path)


def test_other_seeds_take_other_scenes():
    first, second = (transfer.scene_task(1, 1, seed) for seed in (0, 1))
    for part in transfer.PARTS:
        assert not {i.tobytes() for i in first.images[part]} & {i.tobytes() for i in second.images[part]}


def test_textile_groups_name_the_defects():
    task = transfer.textile_task(4, 4, 4)
    assert set(task.groups) == {"nominal", "local", "global"}
    assert [group == "nominal" for group in task.groups] == (task.labels["test"] == 0).tolist()
