"""Hostile and damaged model folders (faults M1–M5, M7, M8): a named error, soon, and nothing is run or allocated."""

import io
import json
import math
import pickle
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lexloom.base.errors import DamagedError, FolderError, UserError
from lexloom.base.files import read_json, write_json
from lexloom.base.rng import generator
from lexloom.models import FAMILIES, new_model
from lexloom.models.folder import load_model, save_model
from lexloom.nn.tensors import TensorFile
from tests.counting import COUNTED, counted_model, random_documents
from tests.solving import SOLVED, solved_model

SHAPES: dict[str, dict[str, Any]] = {
    "gpt": {"width": 8, "layers": 1, "heads": 2},
    "llama": {
        "width": 8,
        "layers": 1,
        "heads": 2,
        "kv_heads": 1,
        "head_width": 6,
        "ffn_width": 12,
        "qk_norm": True,
    },
    "bert": {"width": 8, "layers": 1, "heads": 2, "ffn_width": 12},
    "modernbert": {"width": 8, "layers": 2, "heads": 2, "ffn_width": 12},
    "transformer": {"width": 8, "layers": 1, "heads": 2, "ffn_width": 12},
    "t5": {"width": 8, "layers": 1, "heads": 2, "head_width": 3, "ffn_width": 12, "tied": False, "scaled": False},
    "ngram": {"order": 3},
    "bow": {"head": "sequence", "labels": 2},
    "rnn": {"width": 8, "layers": 1, "tied": False},
    "rnn-attention": {"width": 8, "layers": 1},
    "birnn": {"width": 8, "layers": 1, "embedding_width": 6},
    "word2vec": {"width": 8},
    "glove": {"width": 8},
    "elmo": {
        "vocab_size": 270,
        "layers": 1,
        "char_width": 4,
        "filters": (2, 3),
        "highways": 1,
        "projection": 5,
        "cell_width": 6,
    },
}
MUTATIONS = 2000
SOURCE = Path(__file__).parents[2] / "src"


def write_plain_folder(path: Path, family: str = "llama") -> Path:
    """A folder as others write them: no manifest, no golden inputs."""
    config = FAMILIES[family].config(**{"vocab_size": 11, "context": 16, **SHAPES[family]})
    save_model(path, _model(family, config), None, provenance={}, generation=None, card="")
    (path / "manifest.json").unlink()
    (path / "lexloom.json").unlink()
    return path


def _model(family: str, config: Any) -> Any:
    if family in COUNTED:
        return counted_model(family, config, random_documents(1))
    return solved_model(family, config) if family in SOLVED else new_model(family, config, seed=1)


@pytest.fixture
def folder(tmp_path):
    return write_plain_folder(tmp_path / "model")


def edit_config(folder: Path, **changes: Any) -> None:
    write_json(folder / "config.json", {**read_json(folder / "config.json"), **changes})


# ---- M1: pickle in any dress ----


class Owned:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return buffer.getvalue()


PICKLE_NAMES = [
    "model.safetensors",
    "pytorch_model.bin",
    "consolidated.00.pth",
    "model.pt",
    "model.pkl",
    "model.ckpt",
    "weights.npy",
    "training_args.bin",
    "model",
    "model.safetensors.bin",
]


@pytest.mark.parametrize("name", PICKLE_NAMES)
@pytest.mark.parametrize("dress", ["plain", "zip"])
def test_a_pickle_is_refused_under_any_name_and_never_loaded(folder, tmp_path, name, dress):
    mark = tmp_path / "owned"
    data = pickle.dumps(Owned(mark))
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(zipped(data) if dress == "zip" else data)
    with pytest.raises(FolderError, match=r"pickle.*\n.*save_pretrained"):
        load_model(folder)
    assert not mark.exists()


def test_the_source_can_not_unpickle():
    forbidden = ("import pickle", "import marshal", "import shelve", "import dill", "torch.load", "torch.save")
    found = [
        (path.name, word) for path in SOURCE.rglob("*.py") for word in forbidden if word in path.read_text("utf-8")
    ]
    assert not found


# ---- M2: malformed headers ----


def with_header(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(begin: int, end: int, shape: Any = (2,), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


MALFORMED = {
    "empty": b"",
    "seven bytes": b"\x01" * 7,
    "length 0": struct.pack("<Q", 0),
    "length 2^63": with_header({}, length=1 << 63),
    "longer than the file": with_header({"a": entry(0, 8)}, b"\0" * 8, length=4000),
    "longer than the limit": with_header(b"{" + b" " * (5 << 20) + b"}"),
    "not UTF-8": with_header(b'{"\xff\xfe": 1}'),
    "not JSON": with_header(b"{nonsense}"),
    "a list": with_header([1]),
    "a name twice": with_header(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}',
        b"\0" * 8,
    ),
    "deep": with_header(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "begin after end": with_header({"a": entry(8, 0)}, b"\0" * 8),
    "overlap": with_header({"a": entry(0, 8), "b": entry(4, 12)}, b"\0" * 12),
    "hole": with_header({"a": entry(0, 8), "b": entry(12, 20)}, b"\0" * 20),
    "trailing bytes": with_header({"a": entry(0, 8)}, b"\0" * 9),
    "too short": with_header({"a": entry(0, 8)}, b"\0" * 7),
    "negative": with_header({"a": entry(-8, 0)}, b"\0" * 8),
    "negative shape": with_header({"a": entry(0, 8, (-2,))}, b"\0" * 8),
    "overflow": with_header({"a": entry(0, 8, (1 << 40, 1 << 40))}, b"\0" * 8),
    "unknown dtype": with_header({"a": entry(0, 8, dtype="PICKLE")}, b"\0" * 8),
    "no dtype": with_header({"a": {"shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8),
    "a million tensors": with_header({f"t{n}": entry(0, 0, (0,)) for n in range(100_000)}),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_a_malformed_header_is_a_named_error_in_bounded_time(folder, fault):
    (folder / "model.safetensors").write_bytes(MALFORMED[fault])
    started = time.process_time()
    with pytest.raises(DamagedError, match=r"model\.safetensors"):
        load_model(folder)
    assert time.process_time() - started < 0.5


def test_mutated_files_give_an_error_or_exact_tensors(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.float16)}, path)
    whole = bytearray(path.read_bytes())
    rng = generator("mutations")
    outcomes = {"opened": 0, "refused": 0}
    for _ in range(MUTATIONS):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(bytes(data[: rng.integers(len(data))] if rng.random() < 0.2 else data))
        try:
            file = TensorFile(path)
            for name, (_, shape) in file.shapes.items():
                assert tuple(file.read(name).shape) == shape
            outcomes["opened"] += 1
        except (DamagedError, FolderError):
            outcomes["refused"] += 1
    assert outcomes["refused"] > MUTATIONS / 10
    assert outcomes["opened"] > MUTATIONS / 50


# ---- M3: a config that asks for the moon ----

MOON = {
    "gpt": [
        {"n_embd": 10**9},
        {"n_layer": -1},
        {"n_layer": 10**9},
        {"n_head": 0},
        {"n_head": 3},
        {"n_positions": 2**40},
        {"vocab_size": 2**40},
        {"n_embd": 8.0},
        {"n_embd": True},
        {"n_embd": "8"},
        {"n_embd": None},
        {"resid_pdrop": math.nan},
        {"resid_pdrop": 1.5},
        {"layer_norm_epsilon": math.inf},
        {"n_inner": -4},
    ],
    "llama": [
        {"hidden_size": 10**9},
        {"num_hidden_layers": -1},
        {"num_attention_heads": 0},
        {"num_key_value_heads": 0},
        {"num_key_value_heads": 3},
        {"head_dim": 5},
        {"head_dim": 2**40},
        {"intermediate_size": 2**40},
        {"max_position_embeddings": 2**40},
        {"rms_norm_eps": math.nan},
        {"rope_theta": -1.0},
        {"rope_theta": "10000"},
        {"rope_scaling": {"rope_type": "linear", "factor": math.nan}},
        {"rope_scaling": {"rope_type": "linear"}},
        {"rope_scaling": "linear"},
        {"tie_word_embeddings": "yes"},
    ],
    "bert": [
        {"hidden_size": 10**9},
        {"hidden_size": 9},
        {"num_hidden_layers": -1},
        {"num_attention_heads": 0},
        {"intermediate_size": 2**40},
        {"max_position_embeddings": 2**40},
        {"type_vocab_size": 0},
        {"type_vocab_size": 2**40},
        {"type_vocab_size": None, "vocab_size": None},
        {"hidden_dropout_prob": math.nan},
        {"attention_probs_dropout_prob": 1.5},
        {"classifier_dropout": -1},
        {"layer_norm_eps": math.inf},
        {"architectures": ["BertForSequenceClassification"], "num_labels": -1},
        {"architectures": ["BertForSequenceClassification"], "num_labels": 2**40},
        {"architectures": ["BertForSequenceClassification"], "id2label": {}},
        {"architectures": ["BertForSequenceClassification"], "id2label": [1]},
        {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "2": "b"}},
        {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": 7}},
        {"architectures": ["Nobody"]},
        {"architectures": 7},
    ],
    "modernbert": [
        {"hidden_size": 10**9},
        {"hidden_size": 6},
        {"num_hidden_layers": -1},
        {"num_attention_heads": 0},
        {"intermediate_size": 2**40},
        {"max_position_embeddings": 2**40},
        {"local_attention": 0},
        {"local_attention": 2**40},
        {"local_attention": "128"},
        {"global_attn_every_n_layers": 0},
        {"global_attn_every_n_layers": 2**40},
        {"global_rope_theta": -1.0},
        {"local_rope_theta": "10000"},
        {"rope_parameters": 7},
        {"rope_parameters": {"full_attention": 7}},
        {"layer_types": ["sliding_attention", "full_attention"]},
        {"mlp_dropout": 1.5},
        {"norm_eps": math.nan},
    ],
    "transformer": [
        {"d_model": 10**9},
        {"d_model": 9},
        {"encoder_layers": -1},
        {"decoder_layers": 2**40},
        {"decoder_layers": None},
        {"encoder_attention_heads": 0},
        {"decoder_attention_heads": 1},
        {"encoder_ffn_dim": 2**40},
        {"max_position_embeddings": 2**40},
        {"activation_function": ["relu"]},
        {"scale_embedding": 3.5},
        {"decoder_start_token_id": 11},
        {"pad_token_id": -1},
        {"dropout": math.nan},
        {"attention_dropout": 1.5},
    ],
    "t5": [
        {"d_model": 10**9},
        {"num_layers": -1},
        {"num_decoder_layers": 2**40},
        {"num_heads": 0},
        {"d_kv": 2**40},
        {"d_ff": 2**40},
        {"n_positions": 2**40},
        {"relative_attention_num_buckets": 2**40},
        {"relative_attention_num_buckets": 3},
        {"relative_attention_num_buckets": 8.5},
        {"relative_attention_max_distance": 1},
        {"feed_forward_proj": ["relu"]},
        {"tie_word_embeddings": "yes"},
        {"scale_decoder_outputs": "yes"},
        {"decoder_start_token_id": 11},
        {"dropout_rate": math.nan},
        {"layer_norm_epsilon": math.inf},
    ],
}


@pytest.mark.parametrize(("family", "change"), [(family, change) for family in MOON for change in MOON[family]])
def test_an_impossible_number_is_refused_by_name(tmp_path, family, change):
    folder = write_plain_folder(tmp_path / "model", family)
    edit_config(folder, **change)
    with pytest.raises(FolderError, match=r"config\.json"):
        load_model(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_any_value_of_any_setting_loads_or_is_an_error_of_ours(tmp_path, family):
    folder = write_plain_folder(tmp_path / "model", family)
    whole = read_json(folder / "config.json")
    refused = 0
    for key in [*whole, "rope_parameters", "layer_types", "sliding_window", "resid_pdrop", "id2label"]:
        for value in (None, True, -1, 0, 7, 2**70, 1e308, "7", [], [7], {}, {"a": {"b": []}}, {"rope_type": ["x"]}):
            write_json(folder / "config.json", {**whole, key: value})
            try:
                load_model(folder)
            except UserError:
                refused += 1
    assert refused > 3 * len(whole)


def test_numbers_are_checked_against_the_weights_before_memory_is_allocated(folder):
    """In a process that can't allocate: a width within the bounds, but of 1.7 TB."""
    edit_config(folder, hidden_size=100_000, intermediate_size=1_000_000, vocab_size=4_000_000)
    script = (
        "import sys, resource, pathlib\n"
        "from lexloom.models.folder import load_model\n"
        "from lexloom.base.errors import FolderError\n"
        "now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 300_000_000,) * 2)\n"
        "try: load_model(pathlib.Path(sys.argv[1]))\n"
        "except FolderError as error: print(error); sys.exit(error.exit_code)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "expected [4000000, 100000]" in done.stdout


# ---- M4: missing, extra, wrong ----


@pytest.mark.parametrize("family", FAMILIES)
def test_every_missing_renamed_transposed_or_integer_tensor_is_refused_and_listed(tmp_path, family):
    folder = write_plain_folder(tmp_path / "model", family)
    whole = load_file(folder / "model.safetensors")
    for name, tensor in whole.items():
        rest = {key: value for key, value in whole.items() if key != name}
        other, stored = (torch.int64, "I64") if tensor.is_floating_point() else (torch.float32, "F32")
        faults = [
            (rest, f"missing {name}"),
            ({**rest, name + "x": tensor}, f"missing {name}.*extra {name}x"),
            ({**rest, name: tensor[:-1].clone()}, f"wrong {name}"),
            ({**rest, name: tensor.to(other)}, f"wrong {name}.*{stored}"),
        ]
        if tensor.dim() == 2 and tensor.shape[0] != tensor.shape[1]:
            faults.append(({**rest, name: tensor.t().contiguous()}, f"wrong {name}"))
        for tensors, message in faults:
            save_file(tensors, folder / "model.safetensors")
            with pytest.raises(FolderError, match="(?s)" + message.replace(".", r"\.").replace(r"\.*", ".*")):
                load_model(folder)
    save_file(whole, folder / "model.safetensors")
    load_model(folder)


def test_all_faults_are_listed_at_once(folder):
    tensors = load_file(folder / "model.safetensors")
    missing, wrong, *_ = sorted(tensors)
    del tensors[missing]
    tensors[wrong] = tensors[wrong][:-1].clone()
    save_file({**tensors, "surplus": torch.ones(1)}, folder / "model.safetensors")
    with pytest.raises(FolderError) as caught:
        load_model(folder)
    assert all(f in str(caught.value) for f in (f"missing {missing}", f"wrong {wrong}", "extra surplus: found [1]"))


def test_a_tied_copy_must_be_equal(tmp_path):
    folder = write_plain_folder(tmp_path / "model", "gpt")
    tensors = load_file(folder / "model.safetensors")
    embedding = tensors["transformer.wte.weight"]
    save_file({**tensors, "lm_head.weight": embedding.clone()}, folder / "model.safetensors")
    load_model(folder)
    save_file({**tensors, "lm_head.weight": embedding + 1e-6}, folder / "model.safetensors")
    with pytest.raises(FolderError, match="tied"):
        load_model(folder)


def test_an_index_that_disagrees_with_its_files_is_refused(tmp_path):
    folder = tmp_path / "model"
    config = FAMILIES["gpt"].config(vocab_size=11, context=16, **SHAPES["gpt"])
    model = new_model("gpt", config, seed=1)
    save_model(folder, model, None, provenance={}, generation=None, card="", max_shard_bytes=1000)
    (folder / "manifest.json").unlink()
    index = read_json(folder / "model.safetensors.index.json")
    places = index["weight_map"]
    name = next(iter(places))
    for change in ({name: sorted(set(places.values()))[-1]}, {"surplus": places[name]}):
        write_json(folder / "model.safetensors.index.json", {**index, "weight_map": {**places, **change}})
        with pytest.raises(FolderError, match="disagree"):
            load_model(folder)
    write_json(folder / "model.safetensors.index.json", {"weight_map": [1]})
    with pytest.raises(DamagedError, match="weight_map"):
        load_model(folder)


# ---- M5: code and paths inside a config ----


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"auto_map": {"AutoConfig": "evil.py"}}, "auto_map"),
        ({"model_type": "os.system"}, "model_type"),
        ({"model_type": ["llama"]}, "model_type"),
        ({"model_type": None}, "model_type"),
        ({"hidden_act": "eval"}, "hidden_act"),
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"use_sliding_window": True, "sliding_window": 4}, "sliding_window"),
        ({"layer_types": ["sliding_attention"]}, "layer_types"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "yarn"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"num_experts": 8}, "num_experts"),
    ],
)
def test_code_and_foreign_computations_are_refused_by_name(folder, change, message):
    edit_config(folder, **change)
    with pytest.raises(FolderError, match=message):
        load_model(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "generation_config.json", "tokenizer.json"])
def test_a_link_out_of_the_folder_is_not_followed(folder, name):
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("/etc/passwd")
    with pytest.raises(FolderError, match="outside"):
        load_model(folder)


@pytest.mark.parametrize("place", ["../secret.safetensors", "/etc/passwd", "a/../../secret.safetensors"])
def test_an_index_can_not_name_files_outside(folder, place):
    shutil.copy(folder / "model.safetensors", folder.parent / "secret.safetensors")
    names = list(load_file(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    write_json(folder / "model.safetensors.index.json", {"weight_map": dict.fromkeys(names, place)})
    with pytest.raises(FolderError, match="outside"):
        load_model(folder)


# ---- M7, golden inputs ----


def test_saving_over_the_loaded_folder_keeps_the_loaded_weights(folder):
    model = load_model(folder).model
    before = [parameter.clone() for parameter in model.parameters()]
    other = new_model("llama", model.config, seed=2)
    save_model(folder, other, None, provenance={}, generation=None, card="", replace=True)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_changed_weights_are_noticed_even_without_the_manifest(tmp_path):
    folder = tmp_path / "model"
    config = FAMILIES["llama"].config(vocab_size=11, context=16, **SHAPES["llama"])
    save_model(folder, new_model("llama", config, seed=1), None, provenance={}, generation=None, card="")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"][3] += 0.5
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(DamagedError, match=r"model\.safetensors"):
        load_model(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(DamagedError, match="stored output"):
        load_model(folder)
    load_model(folder, verify=False)


@pytest.mark.parametrize(
    "golden",
    [
        None,
        7,
        {},
        {"ids": [], "outputs": []},
        {"ids": [[11]], "outputs": [[0.0]]},
        {"ids": [[-1]], "outputs": [[0.0]]},
        {"ids": [[1] * 17], "outputs": [[0.0] * 17]},
        {"ids": [[1, 2], [1]], "outputs": [[0.0, 0.0], [0.0]]},
        {"ids": [[1]] * 10**5, "outputs": [[0.0]] * 10**5},
        {"ids": [[1, 2]], "outputs": [["0", 0.0]]},
        {"ids": [5], "outputs": [5]},
    ],
)
def test_malformed_golden_inputs_are_refused(folder, golden):
    write_json(folder / "lexloom.json", {"format": 1, "golden": golden})
    with pytest.raises(DamagedError, match="golden"):
        load_model(folder)


def test_a_newer_format_is_refused(folder):
    write_json(folder / "lexloom.json", {"format": 2})
    with pytest.raises(FolderError, match="Upgrade"):
        load_model(folder)


def test_a_model_that_gives_nan_is_not_saved(tmp_path):
    config = FAMILIES["llama"].config(vocab_size=11, context=16, **SHAPES["llama"])
    model = new_model("llama", config, seed=1)
    with torch.no_grad():
        model.norm.weight[0] = math.nan
    with pytest.raises(UserError, match="non-finite"):
        save_model(tmp_path / "model", model, None, provenance={}, generation=None, card="")
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_model_says_what_it_lacks(tmp_path):
    with pytest.raises(FolderError, match="not a folder"):
        load_model(tmp_path / "absent")
    with pytest.raises(FolderError, match=r"config\.json"):
        load_model(tmp_path)
