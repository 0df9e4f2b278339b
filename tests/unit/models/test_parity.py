"""Random-weight models: transformers and Lexloom read each other's folders and compute the same scores."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from lexloom.models.folder import load_model, save_model

TOLERANCE = 1e-4
GREEDY_TOKENS = 64


@dataclass(frozen=True)
class Case:
    name: str
    kind: type[PreTrainedModel]
    config: Any


GPT2 = {
    "n_layer": 3,
    "n_embd": 60,
    "n_head": 5,
    "vocab_size": 131,
    "n_positions": 96,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
LLAMA = {"num_hidden_layers": 3, "vocab_size": 131, "max_position_embeddings": 96, "intermediate_size": 77}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}

CASES = [
    Case("gpt2", GPT2LMHeadModel, GPT2Config(**GPT2)),
    Case("gpt2-untied", GPT2LMHeadModel, GPT2Config(**GPT2, tie_word_embeddings=False)),
    Case("gpt2-inner", GPT2LMHeadModel, GPT2Config(**GPT2, n_inner=97)),
    Case("llama", LlamaForCausalLM, LlamaConfig(**LLAMA, hidden_size=48, num_attention_heads=4)),
    Case(
        "llama-grouped-tied",
        LlamaForCausalLM,
        LlamaConfig(**LLAMA, hidden_size=54, num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True),
    ),
    Case(
        "llama-wide-heads",
        LlamaForCausalLM,
        LlamaConfig(**LLAMA, hidden_size=50, num_attention_heads=5, num_key_value_heads=1, head_dim=22),
    ),
    Case(
        "llama-3-scaling",
        LlamaForCausalLM,
        LlamaConfig(
            **LLAMA,
            hidden_size=48,
            num_attention_heads=4,
            rope_parameters={**LLAMA3, "original_max_position_embeddings": 24},
        ),
    ),
    Case(
        "llama-linear-scaling",
        LlamaForCausalLM,
        LlamaConfig(
            **LLAMA,
            hidden_size=48,
            num_attention_heads=4,
            rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0},
        ),
    ),
    Case(
        "qwen3",
        Qwen3ForCausalLM,
        Qwen3Config(**LLAMA, hidden_size=50, num_attention_heads=6, num_key_value_heads=2, head_dim=14),
    ),
    Case(
        "qwen3-tied",
        Qwen3ForCausalLM,
        Qwen3Config(
            **LLAMA,
            hidden_size=50,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=14,
            tie_word_embeddings=True,
            sliding_window=16,
        ),
    ),
]
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def make_theirs(case: Case) -> Any:
    """Weights far from their init, so that every one of them matters."""
    torch.manual_seed(0)
    theirs = case.kind(case.config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return theirs


@pytest.fixture
def ids_BL() -> torch.Tensor:  # noqa: N802
    return torch.randint(0, 131, (3, 80), generator=torch.Generator().manual_seed(1))


@by_name
def test_transformers_and_lexloom_score_alike_in_both_directions(case, ids_BL, tmp_path):
    theirs = make_theirs(case)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_model(tmp_path / "theirs").model
    save_model(tmp_path / "ours", ours, None, provenance={}, generation=None, card="")
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
    assert type(back) is case.kind
    with torch.no_grad():
        expected = theirs(ids_BL).logits
        assert (ours(ids_BL) - expected).abs().max() < TOLERANCE
        assert (back(ids_BL).logits - expected).abs().max() < TOLERANCE
    assert expected.std() > 0.1, "scores that are all alike would prove nothing"


@by_name
def test_greedy_continuations_are_identical(case, ids_BL, tmp_path):
    theirs = make_theirs(case)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_model(tmp_path / "theirs").model
    prompt = ids_BL[:1, :16]
    expected = theirs.generate(
        prompt, max_new_tokens=GREEDY_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0
    )[0].tolist()
    cache = ours.new_cache(1, len(expected))
    ids = prompt
    written = prompt[0].tolist()
    with torch.no_grad():
        while len(written) < len(expected):
            ids = ours(ids, cache=cache)[:, -1:].argmax(-1)
            written.append(int(ids))
    assert written == expected


@pytest.mark.parametrize("case", [CASES[1], CASES[5], CASES[9]], ids=lambda case: case.name)
def test_sharded_folders_are_read_in_both_directions(case, ids_BL, tmp_path):
    theirs = make_theirs(case)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="50KB")
    assert (tmp_path / "theirs" / "model.safetensors.index.json").exists()
    ours = load_model(tmp_path / "theirs").model
    save_model(tmp_path / "ours", ours, None, provenance={}, generation=None, card="", max_shard_bytes=50_000)
    assert len(list((tmp_path / "ours").glob("model-*-of-*.safetensors"))) > 1
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
    again = load_model(tmp_path / "ours").model
    with torch.no_grad():
        expected = theirs(ids_BL).logits
        assert (back(ids_BL).logits - expected).abs().max() < TOLERANCE
        assert (again(ids_BL) - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(dtype, ids_BL, tmp_path):
    make_theirs(CASES[4]).to(dtype).save_pretrained(tmp_path / "theirs")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs", dtype=torch.float32).eval()
    ours = load_model(tmp_path / "theirs").model
    assert all(parameter.dtype == torch.float32 for parameter in ours.parameters())
    with torch.no_grad():
        assert (ours(ids_BL) - theirs(ids_BL).logits).abs().max() < TOLERANCE
