import json
import random
from pathlib import Path

import pytest

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.labelled import cluener, conll
from lexloom.labelled.conll import ConllSettings
from lexloom.labelled.examples import Entity, Tagged
from lexloom.labelled.files import FileSettings
from lexloom.labelled.tags import bio_of, entities_of, flaws_of, parse_tag, recognise
from lexloom.labelled.words import word_spans

# The same entities (X on words 0–1, X on 2, Y on 4) in every scheme.
SCHEMES = {
    "BIO": ["B-X", "I-X", "B-X", "O", "B-Y"],
    "IOB1": ["I-X", "I-X", "B-X", "O", "I-Y"],
    "BIOES": ["B-X", "E-X", "S-X", "O", "S-Y"],
    "BMES": ["B-X", "M-X", "E-X", "O", "S-Y"],
}
ENTITIES = (Entity(0, 2, "X"), Entity(2, 3, "X"), Entity(4, 5, "Y"))
SPANS = [(number, number + 1) for number in range(5)]


def read(text: str, folder: Path, **settings: object) -> tuple[list[Tagged], Ledger]:
    (folder / "a.conll").write_text(text, encoding="utf-8")
    ledger = Ledger()
    return conll.read_tagged([str(folder / "a.conll")], ConllSettings.model_validate(settings), ledger), ledger


@pytest.mark.parametrize("scheme", ["BIO", "IOB1", "BIOES"])
def test_every_scheme_means_the_same_entities(scheme: str) -> None:
    assert entities_of(SCHEMES[scheme], SPANS) == ENTITIES


@pytest.mark.parametrize("scheme", SCHEMES)
def test_scheme_is_recognised_and_its_own_tags_have_no_flaw(scheme: str) -> None:
    tags = [parse_tag(tag) for tag in SCHEMES[scheme]]
    assert recognise([tags]) == scheme
    assert flaws_of(tags, recognise([tags])) == []


def test_a_few_wrong_tags_do_not_change_the_scheme() -> None:
    sentences = [[parse_tag(tag) for tag in ("B-X", "I-X", "O")]] * 20 + [[parse_tag(tag) for tag in ("O", "I-X")]]
    assert recognise(sentences) == "BIO"


def test_tags_of_entities_give_the_same_entities() -> None:
    generator = random.Random(1)
    for _ in range(300):
        words = generator.randrange(1, 12)
        spans, entities, word = [(2 * i, 2 * i + 1) for i in range(words)], [], 0
        while word < words:
            length = min(generator.randrange(0, 4), words - word)
            if length:
                entities.append(Entity(spans[word][0], spans[word + length - 1][1], generator.choice("XY")))
            word += max(1, length)
        tagged = Tagged("a:1", {}, " " * 2 * words, tuple(spans), tuple(entities))
        assert entities_of(bio_of(tagged), spans) == tagged.entities


def test_entities_are_those_of_seqeval_on_any_tags() -> None:
    from seqeval.metrics.sequence_labeling import get_entities

    generator = random.Random(2)
    tags = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in "XY")]
    for _ in range(500):
        sequence = [generator.choice(tags) for _ in range(generator.randrange(1, 9))]
        spans = [(number, number + 1) for number in range(len(sequence))]
        ours = [(entity.type, entity.start, entity.end - 1) for entity in entities_of(sequence, spans)]
        assert ours == get_entities(sequence), sequence


def test_sentences_end_at_blank_lines_and_documents_are_passed_over(tmp_path: Path) -> None:
    examples, ledger = read(
        "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\n\nPeter NNP I-NP I-PER", tmp_path
    )
    assert [example.text for example in examples] == ["EU rejects", "Peter"]
    assert [example.where.rpartition(":")[2] for example in examples] == ["3", "7"]
    assert examples[0].entities == (Entity(0, 2, "ORG"),)
    assert examples[0].row == {"words": ["EU", "rejects"], "tags": ["I-ORG", "O"]}
    assert ledger["labelled", "scheme of the tags recognised: IOB1"].documents == 2


def test_chinese_is_joined_without_spaces_and_latin_words_with_them(tmp_path: Path) -> None:
    mixed, _ = read("我 O\n爱 O\nNew B-X\nYork I-X\n。 O\n", tmp_path)
    assert (mixed[0].text, mixed[0].words) == ("我爱New York。", ["我", "爱", "New", "York", "。"])
    assert mixed[0].entities == (Entity(2, 10, "X"),)
    characters, _ = read("".join(f"{character} O\n" for character in "用2GB内存"), tmp_path)
    assert characters[0].text == "用2GB内存"


def test_numbered_characters_lose_their_number(tmp_path: Path) -> None:
    (example,), _ = read("科0\tB-X\n技1\tI-X\n1010\tO\n", tmp_path, strip_last_character=True)
    assert example.words == ["科", "技", "101"]


def test_columns_are_named_by_number(tmp_path: Path) -> None:
    (example,), _ = read("B-X|1|宁\nO|2|静\n", tmp_path, word_column=-1, tag_column=0, delimiter="|")
    assert (example.text, example.entities) == ("宁静", (Entity(0, 1, "X"),))


def test_words_alone_are_new_data(tmp_path: Path) -> None:
    (example,), ledger = read("春\n眠\n", tmp_path)
    assert (example.text, example.entities) == ("春眠", None)
    assert ledger["labelled", "without a label"].documents == 1


def test_misplaced_tags_are_counted_with_their_line_and_nothing_tagged_is_lost(tmp_path: Path) -> None:
    (example, _), ledger = read("a B-X\nb O\nc I-X\nd I-Y\ne B-Y\n\nf B-X\ng O\nh B-X\n", tmp_path)
    assert [(entity.type, example.text[entity.start : entity.end]) for entity in example.entities or ()] == [
        ("X", "a"),
        ("X", "c"),
        ("Y", "d"),
        ("Y", "e"),
    ]
    assert ledger["labelled", "an entity starts with a tag inside"].examples == [f"{tmp_path / 'a.conll'}:3"]
    assert ledger["labelled", "the type changes inside an entity"].examples == [f"{tmp_path / 'a.conll'}:4"]


def test_line_without_its_tag_is_refused_by_number(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.conll:2: has no tag"):
        read("a O\nb\nc O\n", tmp_path)


def test_cluener_counts_inclusive_characters_and_cuts_words_at_entities(tmp_path: Path) -> None:
    row = {"text": "他用iPhone6s 拍", "label": {"品牌": {"iPhone": [[2, 7]]}, "人": {"他": [[0, 0]]}}}
    (tmp_path / "a.json").write_text(json.dumps(row), encoding="utf-8")
    (example,) = cluener.read_tagged([str(tmp_path / "a.json")], FileSettings(), Ledger())
    assert example.words == ["他", "用", "iPhone", "6s", "拍"]
    assert example.entities == (Entity(0, 1, "人"), Entity(2, 8, "品牌"))
    assert bio_of(example) == ["B-人", "O", "B-品牌", "O", "O"]


def test_of_two_entities_that_overlap_the_longer_stays(tmp_path: Path) -> None:
    row = {
        "text": "北京大学生",
        "label": {"地": {"北京": [[0, 1]]}, "校": {"北京大学": [[0, 3]]}, "人": {"大学生": [[2, 4]]}},
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(row), encoding="utf-8")
    ledger = Ledger()
    (example,) = cluener.read_tagged([str(tmp_path / "a.jsonl")], FileSettings(), ledger)
    assert example.entities == (Entity(0, 4, "校"),)
    assert ledger["labelled", "entity dropped: it overlaps another"].documents == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 3.5 km", ["It", "'", "s", "3", ".", "5", "km"]),
        ("北京2008年，Wi-Fi", ["北", "京", "2008", "年", "，", "Wi", "-", "Fi"]),
        ("ＡＢ ｶﾅ\u3000かな", ["Ａ", "Ｂ", "ｶ", "ﾅ", "か", "な"]),
        ("a_b 😀 cafe\u0301", ["a", "_", "b", "😀", "cafe\u0301"]),
        ("  ", []),
    ],
)
def test_words_of_a_text_are_characters_of_chinese_and_runs_of_letters(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words
