"""show: recognises each folder, tells what is in it, and finds any damage."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from lexloom.base import files
from lexloom.base.errors import EXIT_DAMAGED, DamagedError, FolderError
from lexloom.models import FAMILIES
from lexloom.report.weights import tensor_shapes
from lexloom.stages.show import describe, show
from tests.folders import write_model

SHAPES = {
    "model.embed_tokens.weight": (10, 4),
    "model.layers.0.self_attn.q_proj.weight": (4, 4),
    "model.layers.0.mlp.up_proj.weight": (8, 4),
    "model.layers.0.input_layernorm.weight": (4,),
    "model.norm.weight": (4,),
    "lm_head.weight": (10, 4),
}


def weights(path):
    save_file({name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}, path)
    return path.read_bytes()


@pytest.fixture
def model(tmp_path):
    data = weights(tmp_path / "weights.safetensors")
    with files.new_folder(tmp_path / "model", facts={"kind": "model"}) as folder:
        folder.write("model.safetensors", data)
        folder.write_json("config.json", {"model_type": "llama", "architectures": ["LlamaForCausalLM"]})
        folder.write_json(
            "lexloom.json",
            {"family": "llama", "golden": {"ids": [[1]]}, "tokenizer_sha256": "ab" * 32, "versions": {"torch": "2.13"},
             "provenance": {"recipe": {"train": {"lr": 0.001}}, "data": "cd" * 32}},
        )  # fmt: skip
    return tmp_path / "model"


@pytest.fixture
def prepared(tmp_path):
    with files.new_folder(tmp_path / "prepared", facts={"kind": "prepared"}) as folder:
        for split, tokens in (("train", 900), ("validation", 100)):
            folder.write(f"{split}/shard-00000.bin", b"\x01\x00" * tokens)
            folder.write_json(f"{split}/index.json", {"tokens": tokens, "documents": tokens // 10, "shards": [{}]})
        folder.write_json("tokenizer_quality.json", {"bytes_per_token": 2.5})
        folder.write_json(
            "ledger.json",
            [{"stage": "read", "outcome": "文档", "documents": 100, "characters": 1000, "examples": ["a.txt:1"]}],
        )
    return tmp_path / "prepared"


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    lines = [
        {"kind": "step", "step": 7, "loss": 3.5, "tokens": 700},
        {"kind": "validation", "step": 7, "loss": 3.6, "bits_per_byte": 1.9},
    ]
    files.write_file(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    files.write_file(folder / "recipe.toml", "")
    with files.new_folder(folder / "checkpoints" / "step-00000007") as checkpoint:
        checkpoint.write("model.safetensors", b"12345678")
        checkpoint.write_json("state.json", {"step": 7, "tokens": 700})
    (folder / "checkpoints" / ".tmp-step-00000009-1").mkdir()
    return folder


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_model_folder_is_explained(model):
    facts = show(model)
    assert facts["kind"] == "model"
    assert facts["verified"].startswith("3 files")
    assert facts["parameters"] == sum(int(np.prod(shape)) for shape in SHAPES.values())
    assert facts["parameters_by_part"] == {
        "embeddings": 40, "head": 40, "attention": 16, "feed-forward": 32, "norms": 8,
    }  # fmt: skip
    assert facts["provenance"] == {"recipe.train.lr": 0.001, "data": "cd" * 32}
    assert any("lexloom generate" in command for command in facts["next"])


def test_prepared_folder_is_explained(prepared):
    facts = show(prepared)
    assert facts["kind"] == "prepared"
    assert [(split["split"], split["tokens"], split["documents"]) for split in facts["splits"]] == [
        ("train", 900, 90), ("validation", 100, 10),
    ]  # fmt: skip
    assert "文档" in describe(facts)


def test_run_folder_is_explained(run):
    facts = show(run)
    assert facts["kind"] == "run"
    assert facts["steps"] == 7
    assert "3.6000" in facts["best_validation"]
    assert facts["half_made"] == 1
    (checkpoint,) = facts["checkpoints"]
    assert checkpoint["checkpoint"] == "step-00000007"
    assert "every hash as written" in checkpoint["verified"]


def test_checkpoint_is_explained(run):
    facts = show(run / "checkpoints" / "step-00000007")
    assert facts["kind"] == "checkpoint"
    assert facts["state"]["step"] == 7


def test_a_plain_hugging_face_folder_is_explained(tmp_path):
    weights(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    facts = show(tmp_path)
    assert facts["kind"] == "hugging face"
    assert facts["model_type"] == "gpt2"
    assert facts["parameters"] > 0


@pytest.mark.parametrize("name", ["model", "prepared", "run"])
def test_every_kind_has_words_for_people_and_json_for_scripts(request, name):
    facts = show(request.getfixturevalue(name))
    assert facts["kind"] in describe(facts)
    assert json.loads(json.dumps(facts)) == facts


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("model", "model.safetensors"),
        ("model", "config.json"),
        ("prepared", "train/shard-00000.bin"),
        ("run", "checkpoints/step-00000007/model.safetensors"),
    ],
)
def test_one_changed_byte_is_found_and_named(request, kind, file):
    folder = request.getfixturevalue(kind)
    flip_a_byte(folder / file)
    with pytest.raises(DamagedError) as caught:
        show(folder)
    assert file in str(caught.value)
    assert caught.value.exit_code == EXIT_DAMAGED


def test_a_missing_file_is_found(model):
    (model / "model.safetensors").unlink()
    with pytest.raises(DamagedError, match=r"model\.safetensors"):
        show(model)


def test_a_checkpoint_without_manifest_is_not_whole(run):
    (run / "checkpoints" / "step-00000007" / "manifest.json").unlink()
    with pytest.raises(DamagedError, match=r"manifest\.json"):
        show(run)


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path / "absent"])
def test_other_folders_are_refused(tmp_path, make):
    with pytest.raises(FolderError):
        show(make(tmp_path))


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\x04" + b"\0" * 7 + b"[1]]", b"\x02" + b"\0" * 7 + b"[]"])
def test_an_unreadable_header_is_named(tmp_path, data):
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(DamagedError, match=r"model\.safetensors"):
        tensor_shapes(tmp_path)


def test_a_task_model_is_shown_with_its_labels_and_its_commands(tmp_path):
    path = write_model(tmp_path / "model", family="bert", kind="wordpiece", head="sequence", labels=3)
    words = describe(show(path))
    assert "lexloom predict" in words
    assert "lexloom generate" not in words


SUGGESTED = {"none": "embed", "masked": "fill", "pretraining": "fill", "bidirectional": "finetune"}


def suggestions(tmp_path, config, facts=None):
    weights(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    if facts is not None:
        files.write_json(tmp_path / "lexloom.json", facts)
        with files.new_folder(tmp_path / "whole", facts={"kind": "model"}) as folder:
            for name in ("model.safetensors", "config.json", "lexloom.json"):
                folder.write(name, (tmp_path / name).read_bytes())
        tmp_path = tmp_path / "whole"
    return [command.split()[1] for command in show(tmp_path)["next"]]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_suggested_follows_from_what_the_family_can_do(family, tmp_path):
    entry = FAMILIES[family]
    preset = next(iter(entry.presets.values()))
    if entry.kind != "encoder":
        found = suggestions(tmp_path, entry.to_hugging_face(preset))
        assert ("generate" if entry.kind == "decoder" else "predict") in found
        assert "embed" not in found
        return
    for head in entry.heads:
        found = suggestions(tmp_path, entry.to_hugging_face(dataclasses.replace(preset, head=head)))
        static = family in ("word2vec", "glove") and head == "none"
        assert found[0] == ("neighbours" if static else SUGGESTED.get(head, "predict"))
        assert "generate" not in found


@pytest.mark.parametrize(("task", "command"), [("chat", "chat"), ("text2text", "predict"), ("similarity", "embed")])
def test_what_is_suggested_follows_from_the_task_that_a_model_was_tuned_for(task, command, tmp_path):
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    assert suggestions(tmp_path, config, {"family": "llama", "task": {"name": task}})[0] == command
