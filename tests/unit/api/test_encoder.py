"""Models that read, from Python: the same answers as transformers gives for the same folder, in one form or many."""

import json
import warnings

import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, pipeline

import lexloom
from lexloom.base.errors import FolderError, UserError
from lexloom.tasks import TASKS
from tests.folders import write_model
from tests.task_folders import write_task_model
from tests.understanding import EXAMPLES, LIBAI, STEAM, setting_of, texts_of

TEXTS = ["what a lovely film", "太无聊了，不想看", "a dull and empty song about the sea", "李白住在北京", "Anna!"]
INPUTS = {
    "classify": "a lovely film",
    "regress": ("a lovely film", "好看的书"),
    "tag": "Anna lives in Paris",
    "relation": "the <e1>fire</e1> caused <e2>damage</e2>",
    "span": ("Who built the engine?", STEAM),
    "similarity": ("a lovely film", "好看的书"),
    "choice": ("the sky is", "blue", "loud"),
}
CALLS = {
    "classify": lambda model: model.classify("x"),
    "regress": lambda model: model.regress("x"),
    "tag": lambda model: model.tag("x"),
    "relation": lambda model: model.relations("<e1>a</e1> <e2>b</e2>"),
    "span": lambda model: model.answer("x", "y"),
    "choice": lambda model: model.choose("x", ["a", "b"]),
}


READING = [name for name, task in TASKS.items() if "encoder" in task.needs]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("encoders")
    return {name: write_task_model(root / name, name) for name in READING} | {
        "masked": write_model(root / "masked", family="bert", kind="wordpiece", head="masked")
    }


def without_our_facts(folder, tmp_path):
    """The folder as somebody else would have written it."""
    copy = tmp_path / folder.name
    copy.mkdir()
    for file in folder.iterdir():
        if file.is_file() and file.name not in ("lexloom.json", "manifest.json"):
            (copy / file.name).write_bytes(file.read_bytes())
    return copy


@pytest.mark.parametrize("name", READING)
def test_one_input_gives_one_result_and_a_list_gives_a_list(folders, name):
    model = lexloom.load(folders[name])
    assert model.task == name
    one = model.predict(INPUTS[name])
    many = model.predict([INPUTS[name]] * 3)
    assert isinstance(one, dict)
    assert [set(each) for each in many] == [set(one)] * 3
    assert model.predict([]) == []


@pytest.mark.parametrize("name", CALLS)
def test_a_method_of_another_task_says_what_the_model_does(folders, name):
    other = next(task for task in CALLS if task != name)
    with pytest.raises(UserError, match=f"this model does {name}, not {other}"):
        CALLS[other](lexloom.load(folders[name]))
    CALLS[name](lexloom.load(folders[name]))


def test_a_model_without_a_task_or_head_says_so(folders, tmp_path):
    with pytest.raises(FolderError, match="fine-tuned for no task"):
        lexloom.load(folders["masked"]).classify("x")
    with pytest.raises(UserError, match="no head that foretells"):
        lexloom.load(folders["classify"]).fill("[MASK]")
    assert isinstance(lexloom.load(write_model(tmp_path / "writer")), lexloom.LanguageModel)


@pytest.mark.parametrize("wrong", [3, None, [["a", 3]], [()]])
def test_what_is_no_text_is_refused(folders, wrong):
    with pytest.raises((UserError, TypeError)):
        lexloom.load(folders["classify"]).classify(wrong)


@pytest.mark.parametrize("given", [("a", "b", "c"), "no marks"])
def test_texts_that_do_not_fit_the_task_are_refused(folders, given):
    name = "classify" if isinstance(given, tuple) else "relation"
    with pytest.raises(UserError):
        lexloom.load(folders[name]).predict(given)


@pytest.mark.parametrize("name", READING)
def test_answers_do_not_depend_on_what_else_is_asked(folders, name):
    model = lexloom.load(folders[name])
    inputs = [INPUTS[name]] * 2 + [_given(name, example) for example in EXAMPLES[name]] * 40
    alone = [model.predict(each) for each in inputs[:8]]
    for one, among in zip(alone, model.predict(inputs), strict=False):
        assert _without_numbers(one) == _without_numbers(among)
        np.testing.assert_allclose(_numbers(one), _numbers(among), atol=1e-5)


# ---- as transformers ----


def test_classify_gives_the_labels_and_scores_of_the_text_classification_pipeline(folders):
    theirs = pipeline("text-classification", str(folders["classify"]))(TEXTS, top_k=None)
    ours = lexloom.load(folders["classify"]).classify(TEXTS)
    for one, other in zip(ours, theirs, strict=True):
        assert one["label"] == other[0]["label"]
        assert one["probabilities"] == pytest.approx({each["label"]: each["score"] for each in other}, abs=1e-5)


def test_classify_reads_pairs_as_the_pipeline_does(folders):
    pair = {"text": TEXTS[0], "text_pair": TEXTS[1]}
    theirs = pipeline("text-classification", str(folders["classify"]))(pair)
    ours = lexloom.load(folders["classify"]).classify((TEXTS[0], TEXTS[1]))
    assert (ours["label"], ours["probability"]) == (theirs["label"], pytest.approx(theirs["score"], abs=1e-5))


def test_a_published_classifier_is_read_with_its_own_labels(folders, tmp_path):
    foreign = lexloom.load(without_our_facts(folders["classify"], tmp_path))
    assert (foreign.task, foreign.labels) == ("classify", ("bad", "good"))
    assert foreign.classify(TEXTS[0])["label"] == lexloom.load(folders["classify"]).classify(TEXTS[0])["label"]


def test_a_published_regression_head_gives_its_number(folders, tmp_path):
    copy = without_our_facts(folders["regress"], tmp_path)
    theirs = pipeline("text-classification", str(copy), function_to_apply="none")(TEXTS)
    ours = lexloom.load(copy).regress(TEXTS)
    assert [one["score"] for one in ours] == pytest.approx([other["score"] for other in theirs], abs=1e-4)


def test_tags_are_those_of_the_token_classification_pipeline(tmp_path):
    """Where the best tag of every word makes a valid row; elsewhere ours is the best valid row."""
    compared = 0
    for seed in range(6):
        folder = write_task_model(tmp_path / f"tag{seed}", "tag", seed=seed)
        model, theirs = lexloom.load(folder), pipeline("token-classification", str(folder))
        for text in [text for example in EXAMPLES["tag"] for text in texts_of(example)]:
            pieces = theirs(text, ignore_labels=[])
            tags = [piece["entity"] for piece in pieces if not piece["word"].startswith("##")]
            if any(tag[0] == "I" and before[1:] != tag[1:] for before, tag in zip(["O", *tags], tags, strict=False)):
                continue
            ours = model.tag(text)
            assert ours["tags"] == tags
            groups = theirs(text, aggregation_strategy="first")
            assert [(one["type"], one["start"], one["end"]) for one in ours["entities"]] == [
                (group["entity_group"], group["start"], group["end"]) for group in groups
            ]
            compared += 1
    assert compared >= 5


def test_answers_are_those_of_the_span_head(folders):
    folder = folders["span"]
    reader = AutoModelForQuestionAnswering.from_pretrained(str(folder)).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    question = "李白是谁？"
    encoded = tokenizer(question, LIBAI, return_offsets_mapping=True, return_tensors="pt")
    offsets, parts = encoded.pop("offset_mapping")[0].tolist(), encoded.sequence_ids()
    with torch.inference_mode():
        found = reader(**encoded)
    places = [place for place, part in enumerate(parts) if part == 1]
    start, end = max(
        ((a, b) for a in places for b in places if 0 <= b - a < 50),
        key=lambda pair: float(found.start_logits[0, pair[0]] + found.end_logits[0, pair[1]]),
    )
    ours = lexloom.load(folder).predict((question, LIBAI), settings={"unanswerable": False})
    assert (ours["start"], ours["end"]) == (offsets[start][0], offsets[end][1])
    assert ours["answer"] == LIBAI[ours["start"] : ours["end"]]


@pytest.mark.parametrize("text", ["the [MASK] is dull", "[MASK]北京[MASK]", "天空是[MASK]的，真好看"])
@pytest.mark.parametrize("head", ["masked", "pretraining"])
def test_masks_are_filled_as_the_fill_mask_pipeline_fills_them(tmp_path, text, head):
    folder = write_model(tmp_path / "model", family="bert", kind="wordpiece", head=head)
    theirs = pipeline("fill-mask", str(folder), top_k=4)(text)
    theirs = theirs if isinstance(theirs[0], list) else [theirs]
    ours = lexloom.load(folder).fill(text, top=4)
    assert [[one.id for one in mask] for mask in ours] == [[other["token"] for other in mask] for mask in theirs]
    for mask, other in zip(ours, theirs, strict=True):
        assert [one.probability for one in mask] == pytest.approx([each["score"] for each in other], abs=1e-5)


def test_a_filled_text_holds_the_candidate_in_the_place_of_the_mask(folders):
    model = lexloom.load(folders["masked"])
    for one in model.fill("the [MASK] is dull", top=260)[0]:
        word = one.token.removeprefix("##")
        assert one.text == (f"the{word} is dull" if one.token.startswith("##") else f"the {word} is dull")


@pytest.mark.parametrize(
    ("text", "message"), [("no mask", r"no mask.*\n.*\[MASK\]"), ("", "no mask"), ("[MASK] x" * 90, "tokens")]
)
def test_a_text_without_a_mask_or_beyond_the_context_is_refused(folders, text, message):
    with pytest.raises(UserError, match=message):
        lexloom.load(folders["masked"]).fill(text)


# ---- what is read ----


def test_what_is_cut_is_said(folders):
    model = lexloom.load(folders["classify"])
    with pytest.warns(UserWarning, match="1 texts are longer than the model reads"):
        cut = model.classify("film " * 20_000)
    assert cut["label"] in model.labels
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict("film " * 20_000, settings={"long_texts": "windows"})


@pytest.mark.parametrize("name", READING)
def test_the_empty_text_has_an_answer(folders, name):
    inputs = {"relation": INPUTS["relation"], "choice": ("", "", "a"), "classify": "", "regress": "", "tag": ""}
    assert lexloom.load(folders[name]).predict(inputs.get(name, ("", "")))


def test_one_text_embeds_to_a_vector_and_a_list_to_rows(folders):
    model = lexloom.load(folders["similarity"])
    one, many = model.embed(TEXTS[0]), model.embed(TEXTS)
    (width,) = one.shape
    assert many.shape == (len(TEXTS), width)
    assert many.dtype == np.float32
    np.testing.assert_allclose(many[0], one, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-6)
    assert model.similarity(TEXTS[0], TEXTS[0]) == pytest.approx(1.0)
    assert model.embed([]).shape == (0, width)
    assert not np.allclose(model.embed(TEXTS[0], pooling="cls"), one)
    assert np.linalg.norm(model.embed(TEXTS[0], normalise=False)) != pytest.approx(1)


def test_stored_similarity_is_the_cosine_of_embeddings(folders):
    model = lexloom.load(folders["similarity"])
    expected = model.similarity(TEXTS[0], TEXTS[1])
    assert model.predict((TEXTS[0], TEXTS[1]))["score"] == pytest.approx(expected, abs=1e-6)


def _given(name, example):
    match name:
        case "relation":
            marks = sorted([(*example.first, "1"), (*example.second, "2")])
            (a, b, one), (c, d, two) = marks
            text = example.text
            return f"{text[:a]}<e{one}>{text[a:b]}</e{one}>{text[b:c]}<e{two}>{text[c:d]}</e{two}>{text[d:]}"
        case "span":
            return (example.question, example.passage)
        case "choice":
            return (example.texts[0], *example.candidates)
        case "tag":
            return example.text
    return example.texts


def _numbers(value):
    if isinstance(value, dict):
        return [number for inner in value.values() for number in _numbers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in _numbers(inner)]
    return [value] if isinstance(value, float) else []


def _without_numbers(prediction):
    """Labels, offsets and names; the id of a question is its place in the list."""
    rounded = {key: value for key, value in prediction.items() if key != "id"}
    return json.loads(json.dumps(rounded), parse_float=lambda text: 0.0)


def test_labels_are_in_the_order_of_the_head(folders):
    assert lexloom.load(folders["tag"]).labels == setting_of("tag").labels
