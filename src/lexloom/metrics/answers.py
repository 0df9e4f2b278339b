"""Metrics for answers to questions about a passage: exact match and F1, English as SQuAD's scorers, Chinese as CMRC's.

A prediction is a text, empty where the model holds that there is no answer; a reference is a collection of gold
answers, empty where there is none. An example's score is the best over its gold answers.
Sources: Rajpurkar et al. 2016 and 2018 (evaluate-v1.1 and v2.0), Cui et al. 2019 (cmrc2018_evaluate). Both versions of
SQuAD's scorer agree but for gold answers of nothing but articles and punctuation; those are judged as in v2.0.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from difflib import SequenceMatcher
from typing import Any, Literal

from lexloom.metrics.contract import Metric, Rows, mean_rows, ratio_of_sums

Language = Literal["en", "zh"]
Judge = Callable[[str, str], float]
"""(prediction, gold answer) → between 0 and 1."""


def exact_match(language: Language = "en") -> Metric:
    """The share of answers equal to a gold answer, but for case, punctuation and (English) articles."""
    normal = {"en": normal_english, "zh": normal_chinese}[language]
    return _best("exact match", lambda prediction, gold: float(normal(prediction) == normal(gold)), normal)


def answer_f1(language: Language = "en") -> Metric:
    """The mean F1 of an answer's pieces: English words in any order; Chinese characters in the longest common run."""
    if language == "en":
        return _best("answer F1", _word_f1, normal_english)
    return _best("answer F1", _run_f1, normal_chinese)


def normal_english(answer: str) -> str:
    """Lower case, without punctuation and articles, single spaces."""
    plain = answer.lower().translate(_WITHOUT_PUNCTUATION)
    return " ".join(_ARTICLE.sub(" ", plain).split())


def normal_chinese(answer: str) -> str:
    """Lower case, without the punctuation that CMRC's scorer lists."""
    return "".join(character for character in answer.lower().strip() if character not in CMRC_PUNCTUATION)


def chinese_pieces(answer: str) -> list[str]:
    """Chinese characters one by one, the rest in words; without CMRC's punctuation.

    CMRC's scorer cuts what is not Chinese with NLTK's Treebank tokenizer, whose rules are followed here but for English
    contractions ("don't"): of the 3,970 different answers in its development set all are cut alike.
    """
    pieces: list[str] = []
    for stretch in _CHINESE.split(normal_chinese(answer)):
        pieces.extend([stretch] if _CHINESE.fullmatch(stretch) else _WORD.findall(stretch))
    return pieces


CMRC_PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(a|an|the)\b")
_CHINESE = re.compile("([\u4e00-\u9fa5])")
_WORD = re.compile(
    r"""
      \.{2,}                                    # dots
    | (?: [^\s;@#$%&?!()\[\]{}<>"'‘’«»„–—,.]    # a word holds neither these marks
        | \.(?!\.|["')\]}>\s]*$)                # nor a full stop that ends it all
        | ,(?=\d) )+                            # nor a comma, except before a digit
    | \S""",
    re.VERBOSE,
)


def _best(name: str, judge: Judge, normal: Callable[[str], str]) -> Metric:
    def score(prediction: str, golds: Collection[str]) -> float:
        sayable = [gold for gold in golds if normal(gold)]
        return max(judge(prediction, gold) for gold in sayable or [""])

    def rows(predictions: Sequence[Any], references: Sequence[Any]) -> Rows:
        return mean_rows([score(prediction, golds) for prediction, golds in zip(predictions, references, strict=True)])

    return Metric(name, rows, ratio_of_sums)


def _word_f1(prediction: str, gold: str) -> float:
    found, sought = normal_english(prediction).split(), normal_english(gold).split()
    return _f1((Counter(found) & Counter(sought)).total(), len(found), len(sought))


def _run_f1(prediction: str, gold: str) -> float:
    found, sought = chinese_pieces(prediction), chinese_pieces(gold)
    common = SequenceMatcher(None, found, sought, autojunk=False).find_longest_match().size
    return _f1(common, len(found), len(sought))


def _f1(common: int, found: int, sought: int) -> float:
    """No answer where none is wanted is right."""
    return 2 * common / (found + sought) if found + sought > 0 else 1.0
