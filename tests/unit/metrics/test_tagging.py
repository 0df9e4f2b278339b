"""Entities and their figures equal seqeval's, for valid and for invalid tags."""

import gzip
import warnings

import pytest
import seqeval.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB1, IOB2, IOBES, Tokens

from lexloom.base.errors import DataError
from lexloom.metrics import entities_of, entity_f1, entity_precision, entity_recall, token_accuracy

SCHEMES = {"BIO": (IOB2, "BI"), "IOB1": (IOB1, "BI"), "BIOES": (IOBES, "BIES")}
MAKERS = {"precision": entity_precision, "recall": entity_recall, "f1": entity_f1}


def tags(letters):
    inside = st.tuples(st.sampled_from(letters), st.sampled_from(["X", "Y", "A-B"])).map("-".join)
    return st.lists(st.just("O") | inside, min_size=1, max_size=12)


def texts(letters):
    """Several texts, each with predicted and true tags of one length."""
    pair = tags(letters).flatmap(lambda gold: st.tuples(st.just(gold), st.permutations(gold)))
    free = st.integers(1, 8).flatmap(lambda n: st.tuples(*[tags(letters).map(lambda t, n=n: (t * n)[:n])] * 2))
    return st.lists(pair | free, min_size=1, max_size=6)


def value(metric, predictions, references):
    return metric.value(metric.rows(predictions, references))


@settings(max_examples=300, deadline=None)
@given(tags("BIES"))
def test_default_mode_finds_what_seqeval_finds(sequence):
    expected = [(start, end + 1, type_) for type_, start, end in get_entities(sequence)]
    assert entities_of(sequence) == expected


@pytest.mark.parametrize("scheme", SCHEMES)
def test_strict_mode_finds_what_seqeval_finds(scheme):
    theirs, letters = SCHEMES[scheme]

    @settings(max_examples=300, deadline=None)
    @given(tags(letters))
    def check(sequence):
        expected = [(entity.start, entity.end, entity.tag) for entity in Tokens(sequence, theirs).entities]
        assert entities_of(sequence, "strict", scheme) == expected

    check()


@pytest.mark.parametrize("average", ["micro", "macro", "weighted"])
@pytest.mark.parametrize("scheme", [None, *SCHEMES])
def test_figures_equal_seqevals(scheme, average):
    theirs, letters = SCHEMES.get(scheme, (None, "BIES"))
    asked = {} if scheme is None else {"mode": "strict", "scheme": theirs}
    ours = {} if scheme is None else {"mode": "strict", "scheme": scheme}

    @settings(max_examples=40, deadline=None)
    @given(texts(letters))
    def check(pairs):
        references, predictions = ([list(side) for side in sides] for sides in zip(*pairs, strict=True))
        if not any(entities_of(t, **ours) for t in references + predictions):
            return
        for name, make in MAKERS.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = getattr(reference, f"{name}_score")(
                    references, predictions, average=average, zero_division=0, **asked
                )
            assert value(make(average=average, **ours), predictions, references) == pytest.approx(expected)
        expected = reference.accuracy_score(references, predictions)
        assert value(token_accuracy(), predictions, references) == pytest.approx(expected)

    check()


def test_types_give_the_figure_of_each_type():
    references = [["B-X", "I-X", "O", "B-Y"], ["B-Y", "O", "B-X", "B-X"]]
    predictions = [["B-X", "O", "O", "B-Y"], ["B-Y", "B-Y", "B-X", "B-X"]]
    expected = reference.f1_score(references, predictions, average=None)
    found = [value(entity_f1(types=[type_]), predictions, references) for type_ in ("X", "Y")]
    assert found == pytest.approx(list(expected))


def test_bmes_is_read_as_bioes():
    bmes = ["B-NAME", "M-NAME", "E-NAME", "S-ORG", "O"]
    for mode in ("default", "strict"):
        assert entities_of(bmes, mode, "BIOES") == [(0, 3, "NAME"), (3, 4, "ORG")]


def test_iob1_begins_with_i_and_separates_with_b():
    sequence = ["I-LOC", "B-LOC", "I-LOC", "O", "I-PER"]
    assert entities_of(sequence, "strict", "IOB1") == [(0, 1, "LOC"), (1, 3, "LOC"), (4, 5, "PER")]
    assert entities_of(sequence, "strict", "BIO") == [(1, 3, "LOC")]


def test_what_is_no_tag_is_refused():
    with pytest.raises(DataError, match="'Q-PER' is no tag"):
        entities_of(["O", "Q-PER"])
    with pytest.raises(DataError, match="'E-PER' is no tag of BIO"):
        entities_of(["B-PER", "E-PER"], "strict", "BIO")


def test_texts_of_unequal_length_are_refused_and_located():
    for metric in (entity_f1(), token_accuracy()):
        with pytest.raises(DataError, match="1 predicted tags stand against 2") as caught:
            metric.rows([["O"], ["O"]], [["O"], ["O", "O"]])
        assert caught.value.where == "text 2"


def test_names_say_mode_and_types():
    assert entity_f1().name == "entity F1"
    assert entity_f1("strict").name == "entity F1 (strict)"
    assert entity_f1("strict", types=["PER"], average="macro").name == "macro entity F1 (strict, PER)"


def test_tags_as_conll_has_them_are_read_right(shared_data):
    """CoNLL-2003 is IOB1; its test set holds 5,648 entities (Tjong Kim Sang and De Meulder 2003, table 2)."""
    text = gzip.decompress(shared_data("ner-conll2003/eng.testb.gz").read_bytes()).decode()
    sentences = [[line.split()[-1] for line in block.splitlines()] for block in text.split("\n\n") if block.strip()]
    for mode in ("default", "strict"):
        assert sum(len(entities_of(sentence, mode, "IOB1")) for sentence in sentences) == 5_648
