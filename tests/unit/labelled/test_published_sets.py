"""Published data sets are read whole: the counts are those that their publishers, or the papers, state."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexloom.base.ledger import Ledger
from lexloom.labelled import cluener, conll, semeval, squad
from lexloom.labelled.columns import TableSettings
from lexloom.labelled.files import FileSettings
from lexloom.labelled.tables import ChoiceSettings, read_choices, read_labelled

pytestmark = pytest.mark.slow
Find = Callable[[str], Path]

SST = {"delimiter": [" "], "columns": ["label", "text"]}
TREC = {"delimiter": [":", " "], "columns": ["label", "fine", "text"], "encoding": "latin-1"}
STS = {"columns": ["sentence1", "sentence2", "score"]}
RTE = {"columns": ["index", "sentence1", "sentence2", "label"]}
COLA = {"columns": ["source", "label", "star", "sentence"]}
MRPC = {"label": "Quality"}

# file: (settings, examples, labels or None for numbers, texts in an example)
TABLES: dict[str, tuple[dict[str, Any], int, int | None, int]] = {
    "cls-agnews/test.csv.gz": ({"columns": ["label", "title", "text"], "text": ["title", "text"]}, 7600, 4, 2),
    "cls-chnsenticorp-zh/train.tsv.gz": ({}, 9600, 2, 1),
    "cls-chnsenticorp-zh/dev.tsv.gz": ({}, 1200, 2, 1),
    "cls-chnsenticorp-zh/test.tsv.gz": ({}, 1200, 2, 1),
    "cls-imdb/train.jsonl.gz": ({}, 25000, 2, 1),
    "cls-imdb/test.jsonl.gz": ({}, 25000, 2, 1),
    "cls-smsspam/sms.tsv": ({"columns": ["label", "text"]}, 5574, 2, 1),
    "cls-spamassassin/spamassassin.jsonl.gz": ({}, 4188, 2, 1),
    "cls-sst/stsa.binary.train.gz": (SST, 6920, 2, 1),
    "cls-sst/stsa.binary.dev": (SST, 872, 2, 1),
    "cls-sst/stsa.binary.test.gz": (SST, 1821, 2, 1),
    "cls-sst/stsa.fine.train.gz": (SST, 8544, 5, 1),
    "cls-sst/stsa.fine.dev": (SST, 1101, 5, 1),
    "cls-sst/stsa.fine.test.gz": (SST, 2210, 5, 1),
    "cls-thucnews-headlines-zh/dev.txt.gz": ({"columns": ["text", "label"]}, 10000, 10, 1),
    "cls-thucnews-headlines-zh/test.txt.gz": ({"columns": ["text", "label"]}, 10000, 10, 1),
    "cls-tnews-fewclue-zh/train_few_all.json.gz": ({}, 1185, 15, 1),
    "cls-tnews-fewclue-zh/dev_few_all.json.gz": ({}, 1098, 15, 1),
    "cls-tnews-fewclue-zh/test_public.json.gz": ({}, 2010, 15, 1),
    "cls-tnews-fewclue-zh/train_0.json": ({}, 240, 15, 1),
    "cls-trec/raw.TREC.train.gz": (TREC, 5452, 6, 1),
    "cls-trec/raw.TREC.test": (TREC, 500, 6, 1),
    "cls-waimai10k-zh/waimai_10k.csv": ({}, 11987, 2, 1),
    "sim-afqmc-zh/train.csv.gz": ({}, 34334, 2, 2),
    "sim-afqmc-zh/dev.csv.gz": ({}, 4316, 2, 2),
    "sim-afqmc-zh/test.csv.gz": ({}, 3861, 0, 2),
    "sim-bustm-fewclue-zh/train_few_all.json": ({}, 160, 2, 2),
    "sim-bustm-fewclue-zh/dev_few_all.json": ({}, 160, 2, 2),
    "sim-bustm-fewclue-zh/test_public.json.gz": ({}, 1772, 2, 2),
    "sim-mrpc/msr_paraphrase_train.txt.gz": (MRPC, 4076, 2, 2),
    "sim-mrpc/msr_paraphrase_test.txt.gz": (MRPC, 1725, 2, 2),
    "sim-stsb/stsb-en-train.csv.gz": (STS, 5749, None, 2),
    "sim-stsb/stsb-en-dev.csv.gz": (STS, 1500, None, 2),
    "sim-stsb/stsb-en-test.csv.gz": (STS, 1379, None, 2),
    "sim-stsb/stsb-zh-train.csv.gz": (STS, 5749, None, 2),
    "sim-stsb/stsb-zh-dev.csv.gz": (STS, 1500, None, 2),
    "sim-stsb/stsb-zh-test.csv": (STS, 1379, None, 2),
    "nli-rte/train.tsv.gz": ({}, 2127, 2, 2),
    "nli-rte/val.tsv": (RTE, 363, 2, 2),
    "nli-rte/dev.tsv": (RTE, 277, 2, 2),
    "nli-ocnli-fewclue-zh/train_few_all.json": ({}, 160, 3, 2),
    "nli-ocnli-fewclue-zh/dev_few_all.json": ({}, 160, 3, 2),
    "nli-ocnli-fewclue-zh/test_public.json.gz": ({}, 2520, 3, 2),
    "accept-cola/train.tsv.gz": (COLA, 7250, 2, 1),
    "accept-cola/val.tsv": (COLA, 1301, 2, 1),
    "accept-cola/dev.tsv": (COLA, 1043, 2, 1),
}


@pytest.mark.parametrize("name", TABLES)
def test_table_is_read_whole(name: str, shared_data: Find) -> None:
    settings, count, labels, texts = TABLES[name]
    ledger, file = Ledger(), str(shared_data(name))
    kind = "number" if labels is None else "label"
    examples = read_labelled([file], TableSettings.model_validate(settings), ledger, kind=kind)
    assert len(examples) == count
    assert {len(example.texts) for example in examples} == {texts}
    if labels is not None:
        assert len({example.target for example in examples} - {None}) == labels
    else:
        assert all(0 <= example.target <= 5 for example in examples)
    if labels:
        assert ledger["labelled", "without a label"].documents == 0
    assert ledger["labelled", "empty text"].documents == 0


def test_trec_has_fifty_fine_labels_where_they_are_asked_for(shared_data: Find) -> None:
    settings = TableSettings.model_validate({**TREC, "delimiter": [" "], "columns": ["label", "text"]})
    examples = read_labelled([str(shared_data("cls-trec/raw.TREC.train.gz"))], settings, Ledger())
    assert len({example.target for example in examples}) == 50


# file: (scheme, sentences, entities by type, tags that don't stand where their scheme allows)
TAGGED: dict[str, tuple[str, int, dict[str, int] | int, int]] = {
    "ner-conll2003/eng.train.gz": ("IOB1", 14041, {"LOC": 7140, "PER": 6600, "ORG": 6321, "MISC": 3438}, 2),
    "ner-conll2003/eng.testa.gz": ("IOB1", 3250, {"LOC": 1837, "PER": 1842, "ORG": 1341, "MISC": 922}, 0),
    "ner-conll2003/eng.testb.gz": ("IOB1", 3453, {"LOC": 1668, "PER": 1617, "ORG": 1661, "MISC": 702}, 0),
    "ner-msra-zh/dh_msra_minus_test.txt.gz": ("BIO", 50885, {"LOC": 36633, "ORG": 20596, "PER": 17650}, 6),
    "ner-msra-zh/msra_test_bio.txt.gz": ("BIO", 3442, {"LOC": 2886, "ORG": 1331, "PER": 1973}, 0),
    "ner-peoplesdaily-zh/example.dev.gz": ("BIO", 2318, {"LOC": 1951, "ORG": 984, "PER": 884}, 0),
    "ner-peoplesdaily-zh/example.test.gz": ("BIO", 4636, 7707, 0),
    "ner-resume-zh/train.char.bmes.gz": ("BMES", 3821, 13440, 4),
    "ner-resume-zh/dev.char.bmes": ("BMES", 463, 1497, 0),
    "ner-resume-zh/test.char.bmes": ("BMES", 477, 1630, 0),
    "ner-weibo-zh/weiboNER_2nd_conll.train.gz": ("BIO", 1350, 1895, 10),
    "ner-weibo-zh/weiboNER_2nd_conll.dev": ("BIO", 270, 389, 0),
    "ner-weibo-zh/weiboNER_2nd_conll.test": ("BIO", 270, 418, 4),
}
SOUND = ("examples", "scheme of the tags recognised", "blank line", "file with carriage returns")


@pytest.mark.parametrize("name", TAGGED)
def test_tagged_sentences_and_their_entities_are_read_whole(name: str, shared_data: Find) -> None:
    scheme, sentences, entities, flaws = TAGGED[name]
    settings = conll.ConllSettings(strip_last_character="weibo" in name)
    ledger = Ledger()
    examples = conll.read_tagged([str(shared_data(name))], settings, ledger)
    counts = Counter(entity.type for example in examples for entity in example.entities or ())
    assert len(examples) == sentences
    assert (dict(counts) if isinstance(entities, dict) else counts.total()) == entities
    assert ledger["labelled", f"scheme of the tags recognised: {scheme}"].documents == sentences
    assert sum(row.documents for _, outcome, row in ledger if not outcome.startswith(SOUND)) == flaws


@pytest.mark.parametrize(("name", "count"), [("train.json.gz", 10748), ("test.json", 1343)])
def test_cluener_is_read_whole(name: str, count: int, shared_data: Find) -> None:
    ledger = Ledger()
    examples = cluener.read_tagged([str(shared_data(f"ner-cluener-zh/{name}"))], FileSettings(), ledger)
    assert len(examples) == count
    assert len({entity.type for example in examples for entity in example.entities or ()}) == 10
    assert {outcome for _, outcome, _ in ledger} <= {"examples", "entity dropped: it overlaps another"}


@pytest.mark.parametrize(
    ("name", "questions", "unanswerable", "passages"),
    [
        ("mrc-squad/dev-v1.1.reconstructed.json.gz", 10570, 0, None),
        ("mrc-squad/dev-v2.0.reconstructed.json.gz", 11873, 5945, None),
        ("mrc-xquad/xquad.en.json.gz", 1190, 0, 240),
        ("mrc-xquad/xquad.zh.json.gz", 1190, 0, 240),
        ("mrc-cmrc2018-zh/dev.json.gz", 3219, 0, 848),
    ],
)
def test_questions_are_read_whole(
    name: str, questions: int, unanswerable: int, passages: int | None, shared_data: Find
) -> None:
    examples = squad.read_questions([str(shared_data(name))], FileSettings(), Ledger())
    assert len(examples) == questions
    assert sum(example.answers == () for example in examples) == unanswerable
    assert passages is None or len({example.passage for example in examples}) == passages
    for example in examples:
        placed = [answer for answer in example.answers or () if answer.start is not None]
        assert all(example.passage.startswith(answer.text, answer.start) for answer in placed)
        assert placed or not example.answers


@pytest.mark.parametrize(("name", "count"), [("mrc-c3-zh/dev.json.gz", 3816), ("mrc-boolq/boolq.jsonl.gz", 3270)])
def test_choices_are_read_whole(name: str, count: int, shared_data: Find) -> None:
    examples = read_choices([str(shared_data(name))], ChoiceSettings(), Ledger())
    assert len(examples) == count
    assert all(example.target is not None for example in examples)
    if "boolq" in name:
        assert round(100 * sum(example.target == 1 for example in examples) / count, 1) == 62.2


@pytest.mark.parametrize(("name", "count"), [("TRAIN_FILE.TXT.gz", 8000), ("TEST_FILE_FULL.TXT.gz", 2717)])
def test_relations_are_read_whole(name: str, count: int, shared_data: Find) -> None:
    examples = semeval.read_related([str(shared_data(f"re-semeval2010task8/{name}"))], FileSettings(), Ledger())
    assert len(examples) == count
    assert len({example.target for example in examples}) == 19
