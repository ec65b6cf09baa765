import numpy as np
import pytest
import torch

from percept.data import augment


def test_no_crop_and_no_jitter_change_nothing():
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    parameters = augment.draw(np.random.default_rng(0), 4, min_scale=1.0)
    assert torch.equal(augment.apply(images, parameters), images.float())


def test_crops_are_the_stated_windows():
    """A picture whose red is its column and whose green is its row tells which window was shown."""
    ramp = torch.arange(64.0)
    image = torch.stack([ramp.expand(64, 64), ramp[:, None].expand(64, 64), torch.zeros(64, 64)])[None]
    shown = augment.apply(image, torch.tensor([[0.5, 0.5, -0.5, 1.0, 1.0]]))[0]
    # Half the side, centre at three quarters of the width and one quarter of the height.
    assert shown[0, 0].min().item() == pytest.approx(31.75)
    assert shown[0, 0].max().item() == pytest.approx(63.0, abs=0.3)
    assert shown[1, :, 0].min().item() == pytest.approx(0.0, abs=0.3)
    assert shown[1, :, 0].max().item() == pytest.approx(31.25)


def test_left_and_right_are_never_exchanged():
    image = torch.zeros(1, 3, 32, 32)
    image[..., 16:] = 200.0
    parameters = augment.draw(np.random.default_rng(0), 500, min_scale=0.6)
    shown = augment.apply(image.expand(500, -1, -1, -1), parameters)
    assert (shown[..., -1] >= shown[..., 0]).all()


def test_draws_stay_inside_the_image_and_come_from_the_generator():
    parameters = augment.draw(np.random.default_rng(0), 1000, min_scale=0.7, jitter=0.2)
    side, offset = parameters[:, :1], parameters[:, 1:3]
    assert side.min() >= 0.7
    assert (offset.abs() + side <= 1 + 1e-6).all()
    assert parameters[:, 3:].min() >= 0.8
    assert torch.equal(parameters, augment.draw(np.random.default_rng(0), 1000, min_scale=0.7, jitter=0.2))


def test_jitter_scales_brightness_and_contrast():
    image = torch.tensor([100.0, 200.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    shown = augment.apply(image, torch.tensor([[1.0, 0.0, 0.0, 1.1, 0.5]]))[0, 0, 0]
    assert shown.tolist() == pytest.approx([137.5, 192.5])


@pytest.mark.parametrize("wrong", [{"min_scale": 0.0}, {"min_scale": 1.2}, {"jitter": 1.0}, {"jitter": -0.1}])
def test_ranges_are_checked(wrong):
    with pytest.raises(ValueError, match="min_scale must be in"):
        augment.draw(np.random.default_rng(0), 2, **wrong)
