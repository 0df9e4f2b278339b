"""Random-weight encoder–decoders: transformers and Lexloom read each other's folders and compute and write the same."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSeq2SeqLM,
    MarianConfig,
    MarianMTModel,
    MT5Config,
    MT5ForConditionalGeneration,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from lexloom.base.errors import FolderError
from lexloom.base.files import read_json, write_json
from lexloom.generate.engine import generate_ids
from lexloom.generate.settings import SamplingSettings
from lexloom.models.folder import load_model, save_model
from lexloom.models.reading import reading
from lexloom.nn.source import source_of

TOLERANCE = 1e-4
GREEDY_TOKENS = 40
VOCAB_SIZE = 131


@dataclass(frozen=True)
class Case:
    name: str
    kind: type[PreTrainedModel]
    config: Any
    head_of_its_own: bool = False


T5 = {
    "vocab_size": VOCAB_SIZE,
    "d_model": 60,
    "d_kv": 14,
    "d_ff": 77,
    "num_layers": 3,
    "num_heads": 5,
    "decoder_start_token_id": 0,
    "eos_token_id": None,
}
MARIAN = {
    "vocab_size": VOCAB_SIZE,
    "d_model": 60,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_ffn_dim": 77,
    "decoder_ffn_dim": 77,
    "encoder_attention_heads": 5,
    "decoder_attention_heads": 5,
    "max_position_embeddings": 96,
    "decoder_start_token_id": 130,
    "pad_token_id": 130,
    "eos_token_id": None,
    "forced_eos_token_id": None,
}
GATED: dict[str, Any] = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}

CASES = [
    Case("t5-1.0-tied", T5ForConditionalGeneration, T5Config(**T5)),
    Case("t5-1.1-gated-untied", T5ForConditionalGeneration, T5Config(**T5, **GATED), head_of_its_own=True),
    Case("t5-gated-tied-unscaled", T5ForConditionalGeneration, T5Config(**T5, **GATED)),
    Case(
        "t5-more-layers-nearer-buckets",
        T5ForConditionalGeneration,
        T5Config(**T5, num_decoder_layers=2, relative_attention_num_buckets=12, relative_attention_max_distance=20),
    ),
    Case(
        "mt5",
        MT5ForConditionalGeneration,
        MT5Config(**{**T5, "d_model": 64, "d_kv": 8, "num_heads": 6}, **GATED),
        head_of_its_own=True,
    ),
    Case("marian-swish", MarianMTModel, MarianConfig(**MARIAN, activation_function="swish", scale_embedding=True)),
    Case("marian-relu", MarianMTModel, MarianConfig(**MARIAN, activation_function="relu")),
    Case("marian-gelu", MarianMTModel, MarianConfig(**MARIAN, activation_function="gelu", scale_embedding=True)),
]
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def make_theirs(case: Case) -> Any:
    """Weights far from their init, so that every one of them matters; the sinusoids stay."""
    torch.manual_seed(0)
    theirs = case.kind(case.config).eval()
    if case.head_of_its_own:
        theirs.lm_head.weight = torch.nn.Parameter(torch.randn_like(theirs.lm_head.weight) * 0.2)
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        if case.kind is MarianMTModel:
            theirs.final_logits_bias.normal_()
        if not getattr(case.config, "scale_decoder_outputs", True) and not case.head_of_its_own:
            theirs.shared.weight.mul_(0.2)  # embeddings of deviation 1 would make scores of tens, with their rounding
    return theirs


def random_texts(seed: int, *lengths: int) -> list[list[int]]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randint(0, VOCAB_SIZE - 1, (length,), generator=rng).tolist() for length in lengths]


SOURCES, TARGETS = random_texts(1, 31, 5, 80, 31), random_texts(2, 17, 40, 9, 1)


def flat(texts: list[list[int]]) -> torch.Tensor:
    return torch.tensor([[token for text in texts for token in text]])


def padded(texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows filled with a token, and which of them are no filling."""
    rows = [torch.tensor(text) for text in texts]
    ids_BL = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=7)
    lengths_B1 = torch.tensor([[len(text)] for text in texts])
    return ids_BL, (torch.arange(ids_BL.shape[1]) < lengths_B1).long()


def their_scores(theirs: Any) -> torch.Tensor:
    source_BS, seen_BS = padded(SOURCES)
    target_BL, real_BL = padded(TARGETS)
    with torch.no_grad():
        scores_BLV = theirs(input_ids=source_BS, attention_mask=seen_BS, decoder_input_ids=target_BL).logits
    return scores_BLV[real_BL.bool()]


@torch.no_grad()
def our_scores(ours: Any) -> torch.Tensor:
    runs = [len(text) for text in SOURCES]
    source = source_of(ours.encode(flat(SOURCES), runs=runs), runs)
    return ours.scores(ours.hidden(flat(TARGETS), source=source, runs=[len(text) for text in TARGETS])[0])


@by_name
def test_transformers_and_lexloom_score_alike_in_both_directions(case, tmp_path):
    """Padded on their side, packed on ours."""
    theirs = make_theirs(case)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_model(tmp_path / "theirs").model
    save_model(tmp_path / "ours", ours, None, provenance={}, generation=None, card="")
    back, report = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values()), report
    expected_TV = their_scores(theirs)
    assert (our_scores(ours) - expected_TV).abs().max() < TOLERANCE
    assert (their_scores(back.eval()) - expected_TV).abs().max() < TOLERANCE
    assert expected_TV.std() > 0.1, "scores that are all alike would prove nothing"


@by_name
def test_a_single_pair_scores_alike(case, tmp_path):
    theirs = make_theirs(case)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_model(tmp_path / "theirs").model
    source_1S, target_1L = torch.tensor(SOURCES[:1]), torch.tensor(TARGETS[:1])
    with torch.no_grad():
        expected = theirs(input_ids=source_1S, decoder_input_ids=target_1L).logits
        assert (ours(target_1L, source_BL=source_1S) - expected).abs().max() < TOLERANCE


@by_name
def test_greedy_answers_are_identical(case, tmp_path):
    theirs = make_theirs(case)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_model(tmp_path / "theirs").model
    source_BS, seen_BS = padded(SOURCES)
    settings = {"max_new_tokens": GREEDY_TOKENS, "do_sample": False, "num_beams": 1}
    expected = theirs.generate(source_BS, attention_mask=seen_BS, **settings)[:, 1:].tolist()
    prompts = [[ours.config.start_id]] * len(SOURCES)
    tokens = generate_ids(reading(ours, SOURCES), prompts, SamplingSettings(max_tokens=GREEDY_TOKENS, temperature=0))
    written: list[list[int]] = [[] for _ in SOURCES]
    for token in tokens:
        written[token.row].append(token.id)
    assert written == expected


@pytest.mark.parametrize("case", [CASES[1], CASES[5]], ids=lambda case: case.name)
def test_sharded_folders_are_read_in_both_directions(case, tmp_path):
    theirs = make_theirs(case)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="50KB")
    assert (tmp_path / "theirs" / "model.safetensors.index.json").exists()
    ours = load_model(tmp_path / "theirs").model
    save_model(tmp_path / "ours", ours, None, provenance={}, generation=None, card="", max_shard_bytes=50_000)
    assert len(list((tmp_path / "ours").glob("model-*-of-*.safetensors"))) > 1
    back = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "ours").eval()
    expected_TV = their_scores(theirs)
    assert (their_scores(back) - expected_TV).abs().max() < TOLERANCE
    assert (our_scores(load_model(tmp_path / "ours").model) - expected_TV).abs().max() < TOLERANCE


@by_name
def test_the_ids_that_begin_and_fill_texts_are_kept(case, tmp_path):
    make_theirs(case).save_pretrained(tmp_path / "theirs")
    ours = load_model(tmp_path / "theirs").model
    assert (ours.config.start_id, ours.config.pad_id) == (case.config.decoder_start_token_id, case.config.pad_token_id)
    save_model(tmp_path / "ours", ours, None, provenance={}, generation={"num_beams": 4}, card="")
    back = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "ours")
    for settings in (back.config, back.generation_config):
        assert settings.decoder_start_token_id == case.config.decoder_start_token_id
        assert (settings.pad_token_id, settings.eos_token_id) == (case.config.pad_token_id, None)
    assert back.generation_config.num_beams == 4
    assert back.generation_config.forced_eos_token_id is None


# ---- settings and tensors that old files have, or that would change what is computed ----


def rewritten(folder: Any, **change: Any) -> Any:
    write_json(folder / "config.json", {**read_json(folder / "config.json"), **change})
    return folder


@pytest.mark.parametrize(
    ("case", "change"),
    [
        (CASES[0], {"feed_forward_proj": "gated-silu"}),
        (CASES[0], {"is_decoder": True}),
        (CASES[0], {"dense_act_fn": "silu"}),
        (CASES[5], {"normalize_before": True}),
        (CASES[5], {"decoder_attention_heads": 6}),
        (CASES[5], {"decoder_vocab_size": 7}),
        (CASES[5], {"share_encoder_decoder_embeddings": False}),
        (CASES[5], {"tie_word_embeddings": False}),
        (CASES[5], {"decoder_start_token_id": None}),
    ],
)
def test_a_model_that_computes_something_else_is_refused_by_name(case, change, tmp_path):
    make_theirs(case).save_pretrained(tmp_path / "theirs")
    with pytest.raises(FolderError, match=next(iter(change))):
        load_model(rewritten(tmp_path / "theirs", **change))


def test_a_published_config_of_marian_is_read(tmp_path):
    """The settings that the folders of Helsinki-NLP have beside those that transformers writes today."""
    make_theirs(CASES[5]).save_pretrained(tmp_path / "theirs")
    expected = load_model(tmp_path / "theirs").model.config
    old = {
        "_num_labels": 3,
        "add_bias_logits": False,
        "add_final_layer_norm": False,
        "bad_words_ids": [[130]],
        "classif_dropout": 0.0,
        "extra_pos_embeddings": 131,
        "gradient_checkpointing": False,
        "normalize_before": False,
        "normalize_embedding": False,
        "num_beams": 6,
        "num_hidden_layers": 3,
        "static_position_embeddings": True,
    }
    assert load_model(rewritten(tmp_path / "theirs", **old)).model.config == expected


def test_a_published_config_of_t5_is_read(tmp_path):
    """Files of 2020 and 2021 say neither whether scores are scaled nor which activation is meant."""
    make_theirs(CASES[0]).save_pretrained(tmp_path / "theirs")
    expected = load_model(tmp_path / "theirs").model.config
    values = read_json(tmp_path / "theirs" / "config.json")
    for key in ("scale_decoder_outputs", "tie_word_embeddings", "dense_act_fn", "is_gated_act", "feed_forward_proj"):
        del values[key]
    more = {"n_positions": 512, "output_past": True, "task_specific_params": {"summarization": {"num_beams": 4}}}
    write_json(tmp_path / "theirs" / "config.json", {**values, **more})
    assert load_model(tmp_path / "theirs").model.config == expected
    write_json(tmp_path / "theirs" / "config.json", {**values, "tie_word_embeddings": False})
    with pytest.raises(FolderError, match=r"missing lm_head\.weight"):
        load_model(tmp_path / "theirs")


def test_a_head_that_differs_from_a_tied_embedding_is_refused(tmp_path):
    case = replace(CASES[0], head_of_its_own=True)
    make_theirs(case).save_pretrained(tmp_path / "theirs")
    with pytest.raises(FolderError, match=r"lm_head\.weight differs from shared\.weight"):
        load_model(tmp_path / "theirs")
