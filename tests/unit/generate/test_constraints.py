"""A constrained text has its form, whatever the model would rather say and however the tokenizer spells."""

import json
import re

import jsonschema
import numpy as np
import pytest

from lexloom.base.errors import UserError
from lexloom.generate.constraints import BadConstraint, Stuck, choices, json_schema, regex
from lexloom.generate.continuous import Continuous, Step
from lexloom.generate.engine import generate_ids
from lexloom.generate.settings import SamplingSettings
from lexloom.generate.spellings import spellings_of
from lexloom.models import FAMILIES, new_model
from lexloom.text.stream import TextStream
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer
from tests.scripted import ScriptedDecoder, scrambled

TEXT = (
    "the quick brown fox 床前明月光，疑是地上霜。 yes no maybe so true false null abc xyz 0123456789 - + . , : [ ] { } "
    '" \\ / e E b f n r t u A B C D F'
)
KINDS = ("bpe", "unigram", "characters", "wordpiece")
OBJECT = {
    "type": "object",
    "properties": {
        "a": {"type": "integer", "minimum": 0, "maximum": 99},
        "b": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
        "名": {"enum": ["床前", "明月", 7, None]},
    },
    "required": ["a", "b", "名"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    """Every kind; of those that can't spell all, one that can spell what is asked for here."""
    return tokenizer_of(request.param)


def tokenizer_of(kind):
    texts = [f"{TEXT} 名" for _ in range(50)]
    return train_tokenizer(iter(texts), TokenizerSettings(kind=kind, vocab_size=450 if kind != "wordpiece" else 200))


def reply(tokenizer, constraint, *, seed=0, model=None, max_tokens=200, **settings):
    model = scrambled(vocab_size=tokenizer.vocab_size, context=600) if model is None else model
    chosen = SamplingSettings(seed=seed, max_tokens=max_tokens, **settings)
    tokens = list(generate_ids(model, [[5]], chosen, eos_ids=[tokenizer.eos_id], guides=[constraint.start(tokenizer)]))
    return tokenizer.decode([token.id for token in tokens]), tokens[-1].finish


def test_one_of_the_choices_is_written_and_each_may_be(tokenizer):
    texts = ["yes", "no", "maybe so", "床前明月", "the quick"]
    found = {reply(tokenizer, choices(texts), seed=seed)[0] for seed in range(40)}
    assert found <= set(texts)
    assert len(found) > 2


def test_the_text_fits_the_regular_expression(tokenizer):
    spaced = "[a-z]{1,9}( [a-z]{1,5}){1,2}[。，][0-9]{1,20}"
    pattern = spaced if tokenizer.model_type == "WordPiece" else "(the|abc) (quick|brown){1,3}[。，] ?[0-9]{2}"
    for seed in range(10):
        text, finish = reply(tokenizer, regex(pattern), seed=seed)
        assert re.fullmatch(pattern, text), text
        assert finish in ("stop", "eos")


@pytest.mark.parametrize("kind", KINDS[:3])
def test_the_text_is_json_of_the_schema(kind):
    tokenizer = tokenizer_of(kind)
    for seed in range(10):
        value = json.loads(reply(tokenizer, json_schema(OBJECT), seed=seed)[0])
        assert value.keys() == OBJECT["properties"].keys()
        assert 0 <= value["a"] <= 99
        assert value["名"] in ["床前", "明月", 7, None]
        assert len(value["b"]) <= 3


def test_greedy_takes_the_best_of_what_is_allowed():
    tokenizer = tokenizer_of("characters")
    wishes = {token: value for value, token in enumerate(tokenizer.encode("xbca"))}
    model = ScriptedDecoder(
        lambda ids: np.array([-float(wishes.get(token, 9)) for token in range(tokenizer.vocab_size)]),
        vocab_size=tokenizer.vocab_size,
    )
    assert reply(tokenizer, regex("[abc]{5}"), model=model, temperature=0, max_tokens=9)[0] == "bbbbb"


def test_a_text_that_may_end_or_go_on_ends_by_the_end_of_text_token():
    tokenizer = tokenizer_of("characters")
    finishes = [reply(tokenizer, regex("a+"), seed=seed, max_tokens=400) for seed in range(5)]
    assert {finish for _, finish in finishes} == {"eos"}
    assert all(set(text) == {"a"} for text, _ in finishes)


def test_rows_with_and_without_a_constraint_run_together():
    tokenizer = tokenizer_of("bpe")
    model = scrambled(vocab_size=tokenizer.vocab_size)
    running = Continuous(model, slots=3)
    settings = SamplingSettings(seed=3, max_tokens=20)
    free = running.join([1, 2], settings)
    bound = running.join([1, 2], settings, guide=choices(["床前明月"]).start(tokenizer))
    ids = {free: [], bound: []}
    while running.rows:
        for made in running.step():
            ids[made.ticket].append(made.id)
    assert tokenizer.decode(ids[bound]) == "床前明月"
    assert ids[free] == [token.id for token in generate_ids(model, [[1, 2]], settings)]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: regex("a(["), "unclosed"),
        (lambda: regex(""), "empty"),
        (lambda: regex("a[^\\s\\S]"), "no text"),
        (lambda: choices([]), "at least one"),
        (lambda: choices(["a", ""]), "empty"),
        (lambda: json_schema({"type": "nonsense"}), "nonsense"),
        (lambda: json_schema({"type": "string", "minLength": 5, "maxLength": 2}), "minLength"),
        (lambda: json_schema({"not": {"type": "string"}}), "not"),
        (lambda: json_schema(False), "false"),
        (lambda: json_schema([1]), "list"),
    ],
)
def test_a_form_that_is_wrong_or_impossible_is_refused_with_the_reason(make, says):
    with pytest.raises(BadConstraint, match=says) as caught:
        make().start(tokenizer_of("characters"))
    assert "<state>" not in str(caught.value)


def test_what_a_vocabulary_cannot_spell_is_told():
    with pytest.raises(Stuck, match="no token"):
        reply(tokenizer_of("characters"), regex("aß"))


def test_the_absence_of_the_library_is_told_with_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    with pytest.raises(UserError, match=r"lexloom\[serve\]"):
        regex("a")


def test_spellings_put_together_are_the_text(tokenizer):
    spellings = spellings_of(tokenizer)
    rng = np.random.default_rng(0)
    ordinary = [
        token
        for token in range(tokenizer.vocab_size)
        if token not in tokenizer.special_ids and not str(tokenizer.token(token)).startswith("<0x")
    ]
    for _ in range(200):
        ids = rng.choice(ordinary, size=rng.integers(1, 12)).tolist()
        data, before = b"", None
        for token in ids:
            data += spellings.texts[spellings.after(before)[token]]
            before = token
        stream = TextStream(tokenizer)
        assert data.decode(errors="replace") == "".join(map(stream.push, ids)) + stream.flush()


# ---- a thousand schemas ----

SCHEMAS = 1000


def random_schema(rng, depth=0):
    """A schema that only a few texts fit, of everything that answers usually have."""
    kinds = ["integer", "number", "string", "pattern", "enum", "boolean", "null", "any_of"]
    kinds += ["array", "object"] if depth < 3 else []
    kind = rng.choice(kinds if depth else ["object", "array"])
    if kind in ("integer", "number"):
        low = int(rng.integers(-1000, 1000))
        return {"type": str(kind), "minimum": low, "maximum": low + int(rng.integers(0, 1000))}
    if kind == "string":
        shortest = int(rng.integers(0, 4))
        return {"type": "string", "minLength": shortest, "maxLength": shortest + int(rng.integers(0, 6))}
    if kind == "pattern":
        return {"type": "string", "pattern": str(rng.choice(["^[a-z]{2,5}$", "^\\d{4}-\\d{2}$", "^(春|月)+x$"]))}
    if kind == "enum":
        return {"enum": [["春眠", 1, None, 'a "b" \\ c'], [True, 2.5], [{"k": []}, ""]][rng.integers(3)]}
    if kind == "any_of":
        return {"anyOf": [random_schema(rng, depth + 1) for _ in range(rng.integers(1, 4))]}
    if kind == "array":
        fewest = int(rng.integers(0, 3))
        most = fewest + int(rng.integers(0, 3))
        return {"type": "array", "items": random_schema(rng, depth + 1), "minItems": fewest, "maxItems": most}
    if kind == "object":
        names = rng.choice(["name", "年龄", "a b", 'x"y', "list", ""], size=rng.integers(0, 5), replace=False).tolist()
        return {
            "type": "object",
            "properties": {name: random_schema(rng, depth + 1) for name in names},
            "required": [name for name in names if rng.random() < 0.6],
            "additionalProperties": False,
        }
    return {"type": str(kind)}


@pytest.mark.slow
def test_a_thousand_schemas_are_each_answered_with_json_that_they_allow():
    config = FAMILIES["gpt"].config(vocab_size=512, context=1024, width=16, layers=1, heads=2)
    tokenizer = tokenizer_of("bpe")
    model = new_model("gpt", config, seed=0).eval()
    rng = np.random.default_rng(0)
    running, schemas, written, answered = Continuous(model, slots=32), {}, {}, 0
    left = iter(range(SCHEMAS))
    while answered < SCHEMAS:
        while running.rows < 32 and (number := next(left, None)) is not None:
            schema = random_schema(rng)
            settings = SamplingSettings(temperature=1.0, seed=number, max_tokens=1000)
            guide = json_schema(schema).start(tokenizer)
            ticket = running.join([1, 2], settings, eos_ids=[tokenizer.eos_id], guide=guide)
            schemas[ticket], written[ticket] = schema, []
        for made in running.step():
            assert isinstance(made, Step), made
            written[made.ticket].append(made.id)
            if made.finish is not None:
                answered += 1
                assert made.finish in ("stop", "eos"), tokenizer.decode(written[made.ticket])
                answer = json.loads(tokenizer.decode(written.pop(made.ticket)))
                jsonschema.Draft202012Validator(schemas.pop(made.ticket)).validate(answer)
