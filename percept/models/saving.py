"""Encoders and adapters as folders that others can load without percept.

`save_encoder` writes whole weights in the ``local-dir:`` form of open_clip or timm. `save_adapter` writes the
low-rank matrices in peft's form, beside them ``percept_adapter.json`` with what peft does not know.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from percept.models.adapters import AdaptedEncoder, AdapterFacts, adapter_parameters, add_lora, merged, set_strength
from percept.models.attention import AdapterError
from percept.models.encoders import Encoder, EncoderError
from percept.models.export import replaced_folder, save_open_clip_folder, stored_tensors
from percept.models.routes import target_pattern
from percept.models.weights import read_weights
from percept.storage import write_json

FACTS_FILE = "percept_adapter.json"
PEFT_CONFIG, PEFT_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TIMM_CONFIG, TIMM_WEIGHTS = "config.json", "model.safetensors"
FORMAT = 1
# peft loads an adapter into a model that it wraps under this name.
PREFIX = "base_model.model."


def save_encoder(
    encoder: Encoder, folder: str | Path, *, dtype: Literal["fp16", "fp32"] = "fp32", card: str | None = None
) -> Path:
    """Write an encoder as a folder that plain open_clip or timm, and `load_encoder`, read offline.

    Args:
        encoder: Any encoder; an adapter is merged at its present strength.
        folder: Made or replaced in one step; files of others in it are kept.
        dtype: Storage of matrices. With ``"fp32"`` the loaded encoder has the same fingerprint.
        card: Text of the model card, written as ``README.md``.

    Returns:
        The folder, for ``open_clip.create_model_and_transforms("local-dir:FOLDER")`` or
        ``timm.create_model("local-dir:FOLDER", pretrained=True)``.

    Raises:
        EncoderError: If the encoder's text tower exists only as a hub name.
        percept.models.export.ExportError: If a weight is not finite, or tokenizer and model disagree.
    """
    plain = merged(encoder) if isinstance(encoder, AdaptedEncoder) else encoder
    if plain.parts.get("family") == "timm":
        return _save_timm(plain.model, Path(folder), dtype, card)
    config = dict(plain.parts["architecture"]) | {"quick_gelu": plain.parts["activation"] == "quickgelu"}
    if config["text_cfg"].get("hf_model_name"):
        raise EncoderError(
            f"{encoder.name!r} describes its text tower only by the hub name "
            f"{config['text_cfg']['hf_model_name']!r}; such a model cannot be written as one offline folder"
        )
    with tempfile.TemporaryDirectory() as place:
        tokenizer = _tokenizer_file(plain.tokenizer, Path(place))
        return save_open_clip_folder(folder, plain.model, config, tokenizer, plain.preprocess.settings, dtype, card)


def save_adapter(encoder: AdaptedEncoder, folder: str | Path) -> Path:
    """Write the adapter of an encoder as a folder that plain peft loads on the plain base model.

    ``peft.PeftModel.from_pretrained(BASE, FOLDER)`` needs no percept; BASE is the model of open_clip or timm.
    It then computes what ``encoder`` computes at its present strength. The ``split`` route is written as one
    update of the fused attention: rank 3r, the three A stacked, the three B on the diagonal, nothing on the
    output projection; that is the same matrix.

    Args:
        encoder: An adapted encoder.
        folder: Made or replaced in one step; files of others in it are kept.

    Returns:
        The folder.

    Raises:
        AdapterError: If there is no adapter, or a tensor is not finite.
    """
    from safetensors.torch import save_file

    tensors = {name: value.detach().cpu() for name, value in adapter_parameters(encoder).items()}
    bad = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise AdapterError(f"adapter tensor {bad[0]} is not finite; the training went wrong before this point")
    tensors = {name.replace(".default.", "."): value for name, value in tensors.items()}
    if encoder.facts.route == "split":
        tensors = _fused(tensors)
    facts = dataclasses.asdict(encoder.facts) | {"strength": encoder.strength, "fingerprint": encoder.fingerprint}
    with replaced_folder(folder, {FACTS_FILE, PEFT_CONFIG, PEFT_WEIGHTS}) as work:
        _peft_config(encoder).save_pretrained(str(work))
        named = {PREFIX + name: value.contiguous() for name, value in tensors.items()}
        save_file(named, str(work / PEFT_WEIGHTS), metadata={"format": "pt"})
        write_json(work / FACTS_FILE, {"format": FORMAT} | facts)
    return Path(folder)


def load_adapter(encoder: Encoder, folder: str | Path) -> AdaptedEncoder:
    """Return a copy of an encoder with an adapter that `save_adapter` wrote, at its saved strength.

    Args:
        encoder: The base; its fingerprint must be that of the adapter's base.
        folder: The folder.

    Raises:
        AdapterError: If a file is missing or damaged, or the adapter belongs to another encoder.
        percept.models.weights.WeightsError: If the weights cannot be read.
    """
    place = Path(folder)
    facts, strength, fingerprint = _read_facts(place)
    if facts.base_fingerprint != encoder.fingerprint:
        raise AdapterError(
            f"the adapter in {place} belongs to the encoder {facts.base!r} with fingerprint "
            f"{facts.base_fingerprint[:12]}; {encoder.name!r} has {encoder.fingerprint[:12]}. "
            "Load the encoder that it was trained on"
        )
    adapted = add_lora(
        encoder,
        rank=facts.rank,
        alpha=facts.alpha,
        dropout=facts.dropout,
        last_blocks=facts.last_blocks,
        route=facts.route,
    )
    _fill(adapted, place / PEFT_WEIGHTS)
    set_strength(adapted, strength)
    if adapted.fingerprint != fingerprint:
        raise AdapterError(
            f"{place / PEFT_WEIGHTS} is not the file that {FACTS_FILE} describes; save the adapter again"
        )
    return adapted


def _read_facts(folder: Path) -> tuple[AdapterFacts, float, str]:
    file = folder / FACTS_FILE
    for needed in (FACTS_FILE, PEFT_WEIGHTS):
        if not (folder / needed).is_file():
            raise AdapterError(
                f"{folder} is no adapter: {needed} is missing; percept.models.saving.save_adapter writes it"
            )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version, strength, fingerprint = (content.pop(key) for key in ("format", "strength", "fingerprint"))
        if version != FORMAT:
            raise AdapterError(f"{file} has format {version!r}; this version of percept reads {FORMAT}")
        return AdapterFacts(**content), float(strength), str(fingerprint)
    except AdapterError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdapterError(f"{file} does not describe an adapter: {error!r}") from error


def _fill(adapted: AdaptedEncoder, file: Path) -> None:
    stored = {name.removeprefix(PREFIX): value for name, value in read_weights(file).items()}
    wanted = {name.replace(".default.", "."): value.detach() for name, value in adapter_parameters(adapted).items()}
    split = adapted.facts.route == "split"
    expected = _fused(wanted) if split else wanted
    here, there = ({name: tuple(value.shape) for name, value in part.items()} for part in (stored, expected))
    if here != there:
        odd = sorted(set(here.items()) ^ set(there.items()))[0]
        raise AdapterError(f"{file} does not hold the tensors that {FACTS_FILE} describes; first difference: {odd}")
    values = _unfused(stored, adapted.facts.rank) if split else stored
    if split and any(not torch.equal(value, stored[name]) for name, value in _fused(values).items()):
        raise AdapterError(f"{file} mixes q, k and v or changes the output projection; a split adapter does neither")
    for name, tensor in wanted.items():
        tensor.copy_(values[name])


def _fused(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return one update of the fused attention for three of q, k and v, as peft names its tensors."""
    fused = {}
    for place in sorted({name.partition(".q_proj.")[0] for name in tensors if ".q_proj." in name}):
        downs = [tensors[f"{place}.{part}_proj.lora_A.weight"] for part in "qkv"]
        ups = [tensors[f"{place}.{part}_proj.lora_B.weight"] for part in "qkv"]
        down, up = torch.cat(downs), torch.block_diag(*ups)
        fused[f"{place}.lora_A.weight"], fused[f"{place}.lora_B.weight"] = down, up
        # peft always adapts the output projection too.
        out = f"{place}.base_layer.out_proj"
        fused[f"{out}.lora_A.weight"] = torch.zeros_like(down)
        fused[f"{out}.lora_B.weight"] = up.new_zeros(up.shape[0] // 3, up.shape[1])
    return fused


def _unfused(stored: dict[str, torch.Tensor], rank: int) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, value in stored.items():
        if ".out_proj." in name:
            continue
        place, _, end = name.rpartition(".lora_")
        for index, part in enumerate("qkv"):
            rows = slice(index * rank, (index + 1) * rank)
            block = value[rows] if end.startswith("A") else value.chunk(3)[index][:, rows]
            tensors[f"{place}.{part}_proj.lora_{end}"] = block
    return tensors


def _peft_config(encoder: AdaptedEncoder) -> Any:
    from peft import LoraConfig

    facts, visual = encoder.facts, encoder.visual
    times, route = (3, "mha") if facts.route == "split" else (1, facts.route)
    alpha: Any = times * facts.alpha * encoder.strength
    return LoraConfig(
        r=times * facts.rank,
        lora_alpha=alpha,
        lora_dropout=facts.dropout,
        target_modules=target_pattern(visual, route, facts.last_blocks, "" if visual is encoder.model else "visual."),
        bias="none",
        inference_mode=True,
        base_model_name_or_path=facts.base,
    )


def _tokenizer_file(tokenizer: Any, folder: Path) -> Path | None:
    backend = getattr(getattr(tokenizer, "tokenizer", None), "backend_tokenizer", None)
    if backend is None:
        return None
    from tokenizers import Tokenizer

    # Use leaves a length limit and padding behind; neither is part of the file that was loaded.
    clean = Tokenizer.from_str(backend.to_str())
    clean.no_truncation()
    clean.no_padding()
    clean.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def _save_timm(model: nn.Module, folder: Path, dtype: str, card: str | None) -> Path:
    from safetensors.torch import save_file
    from timm.models._hub import save_config_for_hf

    tensors = stored_tensors(model, dtype)
    with replaced_folder(folder, {TIMM_CONFIG, TIMM_WEIGHTS}) as work:
        save_config_for_hf(model, str(work / TIMM_CONFIG))
        save_file(tensors, str(work / TIMM_WEIGHTS), metadata={"format": "pt"})
        if card is not None:
            (work / "README.md").write_text(card, encoding="utf-8")
    return folder
