from collections.abc import Sequence

from lexloom.labelled.check import Report, check
from lexloom.labelled.examples import Answer, Choices, Entity, Example, Labelled, Question, Related, Tagged
from lexloom.text.tokenizers import TokenizerSettings, train_tokenizer


def row(number: int, text: str, label: str | float | None = "a") -> Labelled:
    return Labelled(f"t.csv:{number}", {}, (text,), label)


def places(report: Report, what: str) -> tuple[str, ...]:
    (finding,) = [finding for finding in report.findings if finding.what == what]
    assert finding.count >= len(finding.places) > 0
    return finding.places


def found(**splits: Sequence[Example]) -> set[str]:
    return {finding.what for finding in check(splits).findings}


def test_clean_data_gives_numbers_and_no_finding() -> None:
    report = check({"train": [row(1, "one"), row(2, "three", "b"), row(3, "four"), row(4, "five", "b")]})
    assert report.findings == ()
    facts = report.splits["train"]
    assert (facts.examples, facts.labelled, facts.labels) == (4, 4, {"a": 2, "b": 2})
    assert (report.unit, facts.lengths) == ("characters", (4, 5, 5, 5))


def test_copies_within_and_across_splits_are_found_with_both_places() -> None:
    report = check({"train": [row(1, "a  b"), row(2, "a b"), row(3, "c")], "test": [row(9, " a b\n")]})
    assert places(report, "copies of train in test") == ("t.csv:1 = t.csv:9",)
    assert places(report, "copies within train") == ("t.csv:1 = t.csv:2",)
    assert report.findings[0].what == "copies of train in test", "leaks come first"


def test_same_text_with_another_label_is_a_conflict() -> None:
    report = check({"train": [row(1, "x", "a"), row(2, "y", "b"), row(3, "x", "b"), row(4, "x", None)]})
    assert places(report, "same text, different label") == ("t.csv:1 = t.csv:3: 'a' or 'b'",)


def test_pairs_are_copies_only_if_both_texts_are() -> None:
    first, second = Labelled("a:1", {}, ("p", "q"), "x"), Labelled("a:2", {}, ("p", "r"), "y")
    assert not {what for what in found(train=[first, second]) if "copies" in what or "same text" in what}


def test_rare_and_absent_labels_are_found() -> None:
    train = [row(1, "a", "x"), row(2, "b", "x"), row(3, "c", "y"), row(4, "d", "z"), row(5, "e", "z")]
    report = check({"train": train, "validation": [row(8, "f", "x"), row(9, "g", "w")]})
    assert places(report, "label seen once in train") == ("'y' t.csv:3",)
    assert places(report, "label of validation absent from train") == ("'w' t.csv:9",)
    assert places(report, "label of train absent from validation") == ("'y' t.csv:3", "'z' t.csv:4")


def test_single_label_and_constant_class_are_found() -> None:
    assert "train has a single label" in found(train=[row(1, "a"), row(2, "b")])
    constant = [row(number, "same" if number % 11 else f"other {number}", "a") for number in range(20)]
    many = [row(100 + number, f"text {number}", "b") for number in range(20)]
    assert "label 'a' in train has only 3 different texts" in found(train=constant + many)


def test_numbers_have_a_range_instead_of_a_balance() -> None:
    facts = check({"train": [row(1, "a", 0.5), row(2, "b", 4.0), row(3, "c", 2.0)]}).splits["train"]
    assert (facts.labels, facts.numbers) == ({}, (0.5, 2.0, 4.0))


def test_odd_texts_are_found() -> None:
    odd = {
        "empty text, in train": "  ",
        "replacement character (U+FFFD): decoded with the wrong encoding, in train": "caf\ufffd",
        "mojibake such as Ã© or 锟斤拷: decoded with the wrong encoding, in train": "cafÃ©",
        "control character, in train": "a\x07b",
    }
    report = check({"train": [row(number, text, str(number % 2)) for number, text in enumerate(odd.values())]})
    assert [places(report, what) for what in odd] == [(f"t.csv:{number}",) for number in range(4)]
    assert "mojibake" not in str(found(train=[row(1, "garçon à la café, Ärger, â, 锦"), row(2, "b", "b")]))


def test_unlabelled_rows_are_found() -> None:
    assert "without a label, in train" in found(train=[row(1, "a", None), row(2, "b")])


def test_flaws_inside_of_every_form_are_found() -> None:
    spans = ((0, 2), (3, 5))
    tagged = [
        Tagged("t:1", {}, "ab cd", spans, (Entity(0, 3, "X"),)),
        Tagged("t:2", {}, "ab cd", spans, (Entity(1, 2, "X"),)),
        Tagged("t:3", {}, "ab cd", spans, (Entity(0, 2, "X"), Entity(0, 5, "X"))),
        Tagged("t:4", {}, "ab cd", spans, (Entity(3, 9, "X"),)),
    ]
    assert {
        "entity with white space at its edge, in train",
        "entity that doesn't begin and end with words, in train",
        "entity that overlaps another, in train",
        "entity outside of its text, in train",
    } <= found(train=tagged)
    question = Question("q#1", {}, "1", "?", "passage", (Answer("pass", 3),))
    assert "answer not at its place in the passage, in train" in found(train=[question])
    related = Related("r:1", {}, "ab", (0, 2), (1, 5), "x")
    assert {"stretch outside of its text, in train", "the two stretches overlap, in train"} <= found(train=[related])
    choices = Choices("c:1", {}, ("q",), ("a", "b"), 2)
    assert "the right one is none of the candidates, in train" in found(train=[choices])


def test_answers_in_other_words_are_no_conflict_but_answerability_is() -> None:
    def asked(number: int, *answers: Answer) -> Question:
        return Question(f"q#{number}", {}, str(number), "?", "a b", answers)

    assert "same text, different label" not in found(train=[asked(1, Answer("a", 0)), asked(2, Answer("b", 2))])
    assert "same text, different label" in found(train=[asked(1, Answer("a", 0)), asked(2)])
    assert found(train=[asked(1, Answer("a", 0))]) == {"label seen once in train"}


def test_lengths_are_tokens_with_the_special_ones_against_the_limit() -> None:
    texts = ["one two three", "one", "two three"]
    tokenizer = train_tokenizer(iter(texts * 3), TokenizerSettings(kind="wordpiece", vocab_size=60))
    pair = Labelled("t.csv:1", {}, ("one two three", "one"), "a")
    report = check({"train": [pair, row(2, "one", "b")]}, tokenizer=tokenizer, max_tokens=6)
    words = [len(tokenizer.encode(text)) for text in ("one two three", "one")]
    assert report.splits["train"].lengths[-1] == sum(words) + 3
    assert report.splits["train"].over_limit == 1
    assert places(report, "longer than 6 tokens, in train") == (f"t.csv:1 ({sum(words) + 3})",)
