"""Metrics for translations: BLEU and chrF, as sacrebleu computes them.

Predictions are texts; a reference is a text, or several that are as good. What an example contributes are sacrebleu's
own counts, so that a figure costs one pass over the texts and a resample nothing but a sum.
Sources: Papineni et al. 2002 (BLEU), Popović 2015 (chrF), Post 2018 (sacrebleu and its signatures).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lexloom.metrics.contract import Metric, Rows
from lexloom.metrics.texts import wanted

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as Scorer

TOKENIZERS = {"zh": "zh"}
"""sacrebleu's way of cutting a language into words, where it isn't that of the languages with spaces."""
WITH_SPACES = "13a"
VARIABLE = -1
"""sacrebleu's number of references where examples have different numbers."""

ORDER = 4
CHARACTER_ORDER = 6
BLEU_COLUMNS = 2 + 2 * ORDER  # lengths of prediction and reference, then matches and totals of each order
CHRF_COLUMNS = 3 * CHARACTER_ORDER  # of each order those predicted, those wanted, the matches


def bleu(language: str = "en", *, lower_case: bool = False) -> Metric:
    """Of a corpus's runs of one to four words the share that a reference has, shorter texts than wanted punished.

    Chinese ("zh") is cut into characters, everything else as by mteval's v13a. Case counts unless `lower_case`.
    """
    from sacrebleu.metrics.bleu import BLEU  # a sixth of a second that only translations need

    scorer = BLEU(tokenize=TOKENIZERS.get(language, WITH_SPACES), lowercase=lower_case, max_ngram_order=ORDER)
    return _scored("BLEU (lower-cased)" if lower_case else "BLEU", scorer, BLEU_COLUMNS)


def chrf() -> Metric:
    """chrF2: the F-score, recall counting twice, of runs of one to six characters, white space left out."""
    from sacrebleu.metrics.chrf import CHRF

    return _scored("chrF2", CHRF(char_order=CHARACTER_ORDER), CHRF_COLUMNS)


def _scored(name: str, scorer: Scorer, columns: int) -> Metric:
    """The counts and the value are those that sacrebleu's own paired tests resample."""

    def rows(predictions: Sequence[str], references: Sequence[Any]) -> Rows:
        counts = [_counts(scorer, *pair) for pair in zip(predictions, references, strict=True)]
        return np.array(counts, np.float64).reshape(len(counts), columns)

    def value(rows: Rows) -> float:
        score = scorer._compute_score_from_stats([int(count) for count in rows.sum(axis=0)])
        return float(score.score) / 100

    def detail(references: Sequence[Any]) -> str:
        numbers = {len(wanted(reference)) for reference in references}
        scorer.num_refs = numbers.pop() if len(numbers) == 1 else VARIABLE
        return str(scorer.get_signature())

    return Metric(name, rows, value, detail=detail)


def _counts(scorer: Scorer, prediction: str, reference: Any) -> list[int]:
    (counts,) = scorer._extract_corpus_statistics([prediction], [[text] for text in wanted(reference)])
    return list(counts)
