"""The shipped weights: plain open_clip loads them, both languages work, the pooling trap is closed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import percept
from percept.evaluation import language, statistics
from percept.evaluation.zero_shot import zero_shot_accuracy

FOLDER = Path(percept.__file__).parent / "models" / "tiny"


@pytest.fixture(scope="module")
def encoder():
    return percept.load_encoder("percept-tiny", device="cpu")


def test_plain_open_clip_loads_the_folder_without_percept(encoder):
    code = (
        "import sys, json, torch, open_clip, numpy as np\n"
        "from PIL import Image\n"
        f"model, _, preprocess = open_clip.create_model_and_transforms('local-dir:{FOLDER}')\n"
        f"tokens = open_clip.get_tokenizer('local-dir:{FOLDER}')(['a dog', '赤い車'])\n"
        "model.eval()\n"
        "picture = preprocess(Image.fromarray(np.full((64, 64, 3), 90, np.uint8)))[None]\n"
        "with torch.no_grad():\n"
        "    rows = model.encode_text(tokens, normalize=True), model.encode_image(picture, normalize=True)\n"
        "assert 'percept' not in sys.modules\n"
        "print(json.dumps([row.tolist() for row in rows]))\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd="/")
    assert done.returncode == 0, done.stderr
    texts, images = (np.array(rows) for rows in json.loads(done.stdout.splitlines()[-1]))
    assert np.allclose(texts, encoder.encode_texts(["a dog", "赤い車"]), atol=1e-5)
    assert np.allclose(images, encoder.encode_images(np.full((1, 64, 64, 3), 90, np.uint8)), atol=1e-5)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a red car on the road", "a red car on the sand"),
        ("a dog and a cat", "a dog and a horse"),
        ("草の上の犬", "草の上の猫"),
    ],
)
def test_the_last_word_counts(encoder, first, second):
    rows = encoder.encode_texts([first, second])
    assert float(rows[0] @ rows[1]) < 0.99


def test_files_are_small_and_carded():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 10_000_000
    card = (FOLDER / "README.md").read_text("utf-8")
    for word in ("OpenMoji", "CC BY-SA 4.0", "python -m percept.training.tiny", "Japanese", "Limits"):
        assert word in card


def test_it_names_held_out_objects_in_both_languages(encoder):
    """Far above chance (1/92), and the negative control is not: the rows of the pictures shuffled."""
    pictures, labels = language.scene_sets(2)["seen drawings"]
    rows = np.asarray(encoder.encode_images(pictures))
    for weights in language.scene_weights(encoder).values():
        right = zero_shot_accuracy(rows, weights, labels)["correct"]
        assert statistics.wilson_interval(right).low > 0.5
        mixed = rows[np.random.default_rng(0).permutation(len(rows))]
        assert statistics.wilson_interval(zero_shot_accuracy(mixed, weights, labels)["correct"]).high < 0.1
