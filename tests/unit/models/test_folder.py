import json
import shutil
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lexloom.base.errors import DamagedError, FolderError
from lexloom.base.files import read_json, read_manifest
from lexloom.models import FAMILIES, new_model
from lexloom.models.folder import load_model, save_model
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer

TEXTS = ["床前明月光，疑是地上霜。", "The moon shone on the bed."] * 20


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(iter(TEXTS), TokenizerSettings(vocab_size=300))


@pytest.fixture(scope="module")
def model(tokenizer):
    config = replace(FAMILIES["llama"].presets["toy"], vocab_size=tokenizer.vocab_size, layers=1, context=64)
    return new_model("llama", config, seed=1)


@pytest.fixture
def folder(tmp_path, model, tokenizer):
    path = tmp_path / "model"
    save_model(
        path,
        model,
        tokenizer,
        provenance={"recipe": {"lr": 0.001}, "data": "abc"},
        generation={"temperature": 0.7},
        card="# Moonlight\n",
        labels=["yes", "no"],
    )
    return path


def test_a_folder_holds_what_was_saved(folder, model, tokenizer):
    found = load_model(folder)
    assert found.family == "llama"
    assert found.tokenizer.sha256 == tokenizer.sha256
    assert found.facts["provenance"] == {"recipe": {"lr": 0.001}, "data": "abc"}
    assert found.facts["labels"] == ["yes", "no"]
    assert found.generation["temperature"] == 0.7
    assert not found.model.training
    assert (folder / "README.md").read_text("utf-8") == "# Moonlight\n"
    assert sorted(read_manifest(folder)["files"]) == sorted(
        path.name for path in folder.iterdir() if path.name != "manifest.json"
    )


def test_special_ids_reach_the_files_that_others_read(folder, tokenizer):
    for name in ("config.json", "generation_config.json"):
        values = read_json(folder / name)
        assert values["eos_token_id"] == tokenizer.eos_id
        assert values["bos_token_id"] == tokenizer.bos_id
        assert values["pad_token_id"] == tokenizer.pad_id


def test_transformers_uses_the_folder_with_its_tokenizer(folder, model):
    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    cut = AutoTokenizer.from_pretrained(folder)
    ours = load_model(folder)
    for text in TEXTS[:2]:
        ids = ours.tokenizer.encode(text)
        assert cut(text)["input_ids"] == ids
        assert cut.decode(ids) == text
        with torch.no_grad():
            ids_BL = torch.tensor([ids])
            assert (theirs(ids_BL).logits - ours.model(ids_BL)).abs().max() < 1e-4
    assert theirs.generation_config.eos_token_id == ours.tokenizer.eos_id


def test_saving_does_not_leave_training_mode(tmp_path, model):
    model.train()
    save_model(tmp_path / "model", model, None, provenance={}, generation=None, card="")
    assert model.training
    model.eval()


def test_the_same_model_gives_the_same_bytes(folder, tmp_path, model, tokenizer):
    again = tmp_path / "again"
    save_model(
        again,
        load_model(folder).model,
        tokenizer,
        provenance={"recipe": {"lr": 0.001}, "data": "abc"},
        generation={"temperature": 0.7},
        card="# Moonlight\n",
        labels=["yes", "no"],
    )
    assert (again / "manifest.json").read_bytes() == (folder / "manifest.json").read_bytes()


def test_an_existing_folder_is_replaced_only_when_asked(folder, model):
    with pytest.raises(FolderError, match="already exists"):
        save_model(folder, model, None, provenance={}, generation=None, card="")
    save_model(folder, model, None, provenance={}, generation=None, card="", replace=True)
    assert load_model(folder).tokenizer is None


# ---- M8: tokenizer and model belong together ----


def without_manifest(folder):
    (folder / "manifest.json").unlink()
    return folder


def test_another_tokenizer_is_refused(folder):
    other = train_tokenizer(iter([*TEXTS, "wholly other words, other merges"] * 3), TokenizerSettings(vocab_size=290))
    (folder / "tokenizer.json").write_bytes(other.to_bytes())
    with pytest.raises(DamagedError, match=r"tokenizer\.json"):
        load_model(folder)
    with pytest.raises(FolderError, match="not the one that the model was trained with"):
        load_model(without_manifest(folder))


def test_a_lost_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(FolderError, match=r"lost its tokenizer\.json"):
        load_model(without_manifest(folder))


def test_more_ids_than_the_model_has_are_refused(folder):
    (folder / "lexloom.json").unlink()
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    count = len(tokenizer["model"]["vocab"])
    tokenizer["model"]["vocab"]["surplus"] = count
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    with pytest.raises(FolderError, match=f"{count + 1:,} ids, the model only {count:,}"):
        load_model(without_manifest(folder))


# ---- what other folders look like ----


def test_published_gpt2_names_without_prefix_and_with_mask_buffers_are_read(tmp_path):
    from safetensors.torch import load_file, save_file

    config = FAMILIES["gpt"].config(vocab_size=11, context=16, width=8, layers=2, heads=2)
    model = new_model("gpt", config, seed=1)
    save_model(tmp_path / "model", model, None, provenance={}, generation=None, card="")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    old = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    old["h.0.attn.bias"] = torch.ones(1, 1, 16, 16)
    shutil.rmtree(tmp_path / "model")
    save_model(tmp_path / "model", model, None, provenance={}, generation=None, card="")
    save_file(old, tmp_path / "model" / "model.safetensors")
    found = load_model(without_manifest(tmp_path / "model"))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), found.model.parameters(), strict=True))


def test_an_old_llama_config_without_heads_width_and_kv_heads_is_read():
    values = {
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": 64,
        "intermediate_size": 172,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "pretraining_tp": 1,
        "rope_scaling": None,
        "torch_dtype": "float16",
    }
    config = FAMILIES["llama"].from_hugging_face(values)
    assert (config.head_width, config.kv_heads, config.tied) == (16, 4, False)
    assert config.rotary_theta == 10000.0


def test_older_and_newer_spellings_of_rotary_settings_mean_the_same():
    base = FAMILIES["llama"].to_hugging_face(FAMILIES["llama"].presets["llama-3.2-1b"])
    newer = {key: value for key, value in base.items() if key not in ("rope_theta", "rope_scaling")}
    newer["rope_parameters"] = {**base["rope_scaling"], "rope_theta": base["rope_theta"]}
    older = {**base, "rope_scaling": {**base["rope_scaling"]}}
    older["rope_scaling"]["type"] = older["rope_scaling"].pop("rope_type")
    preset = FAMILIES["llama"].presets["llama-3.2-1b"]
    assert all(FAMILIES["llama"].from_hugging_face(values) == preset for values in (base, newer, older))
