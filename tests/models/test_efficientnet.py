import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from timm.data import ImageNetInfo

from percept.models import efficientnet
from percept.models.encoders import load_encoder


@pytest.fixture(scope="module")
def lite():
    return load_encoder("efficientnet-lite0", device="cpu")


@pytest.mark.parametrize(
    ("photo", "names"),
    [("chelsea", {"tabby, tabby cat", "tiger cat", "Egyptian cat"}), ("coffee", {"espresso"}), ("rocket", {"missile"})],
)
def test_photographs_are_recognised(lite, photo, names):
    image = Image.fromarray(getattr(skimage.data, photo)())
    with torch.no_grad():
        best = int(lite.model(lite.preprocess(image)[None]).argmax())
    assert ImageNetInfo().index_to_description(best) in names


def test_a_wrong_order_would_not_recognise_the_cat(lite):
    """The control: batch-norm scale and variance have equal shapes, so only the order tells them apart."""
    state = dict(lite.model.state_dict())
    pixels = lite.preprocess(Image.fromarray(skimage.data.chelsea()))[None]
    for name in [key for key in state if key.endswith("bn2.weight")]:
        other = name.replace("weight", "running_var")
        state[name], state[other] = state[other], state[name]
    model = efficientnet.build()
    cats = [281, 282, 285]
    with torch.no_grad():
        assert model(pixels).softmax(-1)[0, cats].sum() > 0.6
        model.load_state_dict(state)
        assert model(pixels).softmax(-1)[0, cats].sum() < 0.1


def test_preprocessing_is_the_networks_own(lite):
    assert lite.preprocess.settings["mean"] == [0.5, 0.5, 0.5]
    assert lite.preprocess.settings["std"] == [0.5, 0.5, 0.5]
    assert lite.image_size == 224
    assert lite.dim == 1280
    grey = Image.fromarray(np.full((300, 300, 3), 255, np.uint8))
    assert lite.preprocess(grey).unique().tolist() == [1.0]


def test_mapping_refuses_what_does_not_fit():
    good = {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2)}
    renamed = efficientnet.rename_in_order(good, {"b.weight": torch.ones(2, 3), "b.bias": torch.ones(2)})
    assert list(renamed) == ["b.weight", "b.bias"]
    with pytest.raises(ValueError, match=r"a.bias \[2\] does not map to b.bias \[3\]"):
        efficientnet.rename_in_order(good, {"b.weight": torch.ones(2, 3), "b.bias": torch.ones(3)})
    with pytest.raises(ValueError, match="does not map"):
        efficientnet.rename_in_order({"a.running_mean": torch.zeros(2)}, {"b.weight": torch.zeros(2)})
    with pytest.raises(ValueError, match="2 tensors cannot be mapped to 1"):
        efficientnet.rename_in_order(good, {"b": torch.zeros(2)})
