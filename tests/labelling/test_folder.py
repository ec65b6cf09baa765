import logging

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from percept import runs
from percept.data.images import FolderData, ImageError
from percept.data.judgments import JudgmentError, Judgments
from percept.data.triplets import Triplets
from percept.labelling import ScriptedRater, label_folder
from percept.labelling.folder import random_triplets
from percept.labelling.plan import SessionError


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for number in range(12):
        path = folder / ("cats", "dogs")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 6, 3), 20 * number, np.uint8)).save(path)
    return folder


def _data(tmp_path, labels):
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(len(labels))], "label": labels})
    return FolderData(tmp_path, [tmp_path / name for name in table["file"]], table, [])


def test_one_call_asks_stores_and_resumes(photos):
    one = label_folder(photos, n=20, seed=5)
    one.sign_in("ann")
    ScriptedRater(lambda trial: "left").run(one, limit=6)
    store = Judgments(runs.home() / "judgments.sqlite")
    items = store.items("photos")
    assert len(items) == 20
    assert set(items["category"]) == {"cats", "dogs"}
    assert store.studies()["sampling"][0].startswith("random (seed 5")
    Image.new("RGB", (6, 6)).save(photos / "cats" / "new.png")  # more images do not disturb the study
    again = label_folder(photos, "ann", seed=5)
    assert again.current() == one.current()
    shown = [again.triplets.images[row].name for row in again.triplets.items[again.current().triplet]]
    stored = items.set_index("id").loc[str(again.current().triplet), ["reference", "left", "right"]]
    assert shown == [name.split("/")[1] for name in stored]


def test_a_changed_image_of_a_known_study_is_named(photos):
    label_folder(photos, n=20)
    (photos / "cats" / "2.png").unlink()
    Image.new("RGB", (9, 9)).save(photos / "cats" / "4.png")
    with pytest.raises(SessionError, match=r"'cats/2\.png' and 1 more"):
        label_folder(photos, n=20)


def test_own_triplets_are_asked_and_not_exchanged(photos):
    paths = sorted(photos.glob("*/*.png"))
    own = Triplets(paths, [[0, 1, 2], [3, 4, 5]], np.array([0.5, 0.5]))
    assert label_folder(photos, triplets=own, study="own").triplets is own
    with pytest.raises(JudgmentError, match="other triplets"):
        label_folder(photos, triplets=own.select([0]), study="own")


def test_own_triplets_must_lie_in_the_folder(photos):
    own = Triplets(sorted(photos.glob("*/*.png")), [[0, 1, 2]], np.array([0.5]))
    with pytest.raises(SessionError, match="lies outside the image folder"):
        label_folder(photos / "dogs", triplets=own)


def test_random_triplets_use_every_image_equally_and_never_twice_in_one(tmp_path):
    triplets = random_triplets(_data(tmp_path, ["a"] * 7), 21)
    assert np.bincount(triplets.items[:, 0]).tolist() == [3] * 7
    assert all(len(set(row)) == 3 for row in triplets.items.tolist())
    assert not np.array_equal(triplets.items, random_triplets(_data(tmp_path, ["a"] * 7), 21, seed=1).items)


def test_candidates_within_the_class(tmp_path):
    labels = np.array(["a"] * 4 + ["b"] * 5 + ["c"] * 2)
    triplets = random_triplets(_data(tmp_path, labels.tolist()), 40, within_class=True)
    assert set(triplets.groups) == {"a", "b"}  # two images of c are no triplet
    assert (labels[triplets.items] == triplets.groups[:, None]).all()
    mixed = random_triplets(_data(tmp_path, labels.tolist()), 40)
    assert set(mixed.groups) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("labels", "n", "within", "message"),
    [(["a", "a"], 5, False, "needs 3 images in the folder"), (["a", "b", "c"], 5, True, "3 images in one class"),
     (["a"] * 3, 0, False, "n=0")],
)  # fmt: skip
def test_too_little_to_ask(tmp_path, labels, n, within, message):
    with pytest.raises(SessionError, match=message):
        random_triplets(_data(tmp_path, labels), n, within_class=within)


def test_bad_folders_and_bad_images(photos, tmp_path, caplog):
    with pytest.raises(ImageError, match="no such folder"):
        label_folder(tmp_path / "absent")
    (photos / "cats" / "bad.png").write_bytes(b"not an image")
    with caplog.at_level(logging.WARNING):
        label_folder(photos, n=5, study="some")
    assert "1 images cannot be used" in caplog.text
