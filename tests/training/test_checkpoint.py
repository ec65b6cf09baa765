import pytest
import torch

from percept.training import checkpoint


def save(folder, step, **options):
    tensor = torch.full((3,), float(step))
    return checkpoint.save(folder, step, {"w": tensor, "tied": tensor}, {"m": [tensor]}, {"seed": 1}, **options)


def test_what_is_saved_is_loaded_and_old_ones_go(tmp_path):
    assert checkpoint.latest(tmp_path / "absent") is None
    for step in (1, 2, 10):
        save(tmp_path, step, keep=2)
    assert checkpoint.steps(tmp_path) == [2, 10]
    found = checkpoint.latest(tmp_path)
    assert found.state == {"step": 10, "seed": 1}
    assert torch.equal(found.model["w"], torch.full((3,), 10.0))
    assert torch.equal(found.optimizer["m"][0], torch.full((3,), 10.0))


@pytest.mark.parametrize("stage", ["save_file", "torch.save", "storage.write_json", "os.replace"])
def test_a_failure_at_any_stage_leaves_the_previous_one(tmp_path, monkeypatch, stage):
    save(tmp_path, 1)

    def fail(*_, **__):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"percept.training.checkpoint.{stage}", fail)
        with pytest.raises(OSError, match="no space"):
            save(tmp_path, 2)
    assert checkpoint.latest(tmp_path).state["step"] == 1
    save(tmp_path, 2)
    assert checkpoint.steps(tmp_path) == [1, 2]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "state.json"])
def test_a_damaged_file_is_named(tmp_path, name):
    folder = save(tmp_path, 3)
    path = folder / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(checkpoint.CheckpointError, match=f"{name} cannot be read.*remove .*step-00000003"):
        checkpoint.latest(tmp_path)


def test_no_code_is_run_by_loading(tmp_path):
    folder = save(tmp_path, 3)
    torch.save({"m": print}, folder / "optimizer.pt")
    with pytest.raises(checkpoint.CheckpointError, match=r"optimizer\.pt"):
        checkpoint.latest(tmp_path)
