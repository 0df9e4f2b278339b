"""Reading comprehension: the stretch of a passage that answers a question, or that there is none.

A long passage is read in overlapping windows, the question before each; the best start and end over all windows win,
against the score of the first token, which stands for "no answer". Sources: Devlin et al. 2018 (BERT), sections 4.2 and
4.3; Rajpurkar et al. 2018 (SQuAD 2.0).
Axes: N passage tokens of a window, S spots (the first token and the passage), C columns (start, end).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from lexloom.base.ledger import Ledger
from lexloom.data.batches import IGNORE
from lexloom.labelled.examples import Question
from lexloom.labelled.files import FileSettings
from lexloom.labelled.squad import read_questions
from lexloom.metrics import Metric, answer_f1, exact_match
from lexloom.objectives.contract import Batch, Loss
from lexloom.tasks.batches import batch_of, by_piece, scores_at_spots
from lexloom.tasks.contract import Encoded, Floats, Piece, Prediction, Setting, Task, Weighing
from lexloom.tasks.encoding import FIRST, STAGE, WINDOWED, Cut, count_cuts, cuts, encoded_once, room_in, windows
from lexloom.tasks.losses import places
from lexloom.tasks.passes import head_outputs
from lexloom.text.frames import Frame

Offsets = Sequence[tuple[int, int]]

NO_ANSWER = (0, 0)
"""Start and end spot of "no answer": the first token."""
START, END = 0, 1


class SpanSettings(FileSettings):
    """How passages are read and answers found."""

    overlap: int = Field(default=128, ge=0)
    """Tokens that neighbouring windows of a long passage share; at most half a window."""
    max_question_tokens: int = Field(default=64, gt=0)
    """Longer questions are cut; at most half of what a window holds."""
    max_answer_tokens: int = Field(default=50, gt=0)
    """The longest answer that is given."""
    unanswerable: bool | None = None
    """Whether "no answer" may be the answer; unset: if the training data has such questions."""
    language: Literal["en", "zh"] | None = None
    """How answers are compared: by words, or by Chinese characters; unset: as most of the training passages are."""


def settle(examples: Sequence[Question], settings: SpanSettings) -> SpanSettings:
    """Fill in whether there may be no answer, and the language."""
    unanswerable = any(example.answers == () for example in examples)
    chinese = sum(_is_chinese(example.question) for example in examples)
    language = "zh" if 2 * chinese > len(examples) else "en"
    return settings.model_copy(
        update={
            "unanswerable": unanswerable if settings.unanswerable is None else settings.unanswerable,
            "language": language if settings.language is None else settings.language,
        }
    )


def encode(examples: Sequence[Question], setting: Setting, ledger: Ledger) -> list[Encoded]:
    """The windows of each passage behind its question; notes are the passage tokens' characters."""
    question_ids = encoded_once((example.question for example in examples), setting)
    passages = list(dict.fromkeys(example.passage for example in examples))
    passage_tokens = dict(zip(passages, setting.tokenizer.encode_with_offsets(passages), strict=True))
    frame = setting.tokenizer.frame(2)
    result, lost = [], list[Cut]()
    for example in examples:
        question = question_ids[example.question]
        kept = min(len(question), setting.settings.max_question_tokens, room_in(frame, setting) // 2)
        lost += cuts([example.question], [kept], question_ids, example.where)
        pieces = _windows(question[:kept], *passage_tokens[example.passage], frame, setting)
        if len(pieces) > 1:
            ledger.count(STAGE, WINDOWED, where=example.where)
        result.append(Encoded(pieces, _target(example, pieces)))
    count_cuts(lost, setting, ledger)
    return result


def collate(encoded: Sequence[Encoded], setting: Setting) -> Batch:
    """Targets are the places of start and end among all spots, for each window (P, 2)."""
    targets: list[tuple[int, int]] = []
    spots = 0
    for example in encoded:
        stretches = [(IGNORE, IGNORE)] * len(example.pieces) if example.target is None else example.target
        for piece, (start, end) in zip(example.pieces, stretches, strict=True):
            known = start != IGNORE
            targets.append((spots + start, spots + end) if known else (IGNORE, IGNORE))
            spots += len(piece.spots)
    count = sum(start != IGNORE for start, _ in targets)
    return batch_of(encoded, torch.tensor(targets), count, by_piece(encoded))


def loss(model: nn.Module, batch: Batch, setting: Setting, weighing: Weighing) -> Loss:
    """Cross entropy of start and end, averaged, for every window; one without the answer is to say so."""
    assert batch.groups_S is not None, "each token belongs to a window"
    return places(scores_at_spots(model, batch), batch.groups_S, batch.targets, weighing)


@dataclass(frozen=True)
class Stretch:
    """A candidate answer: its score, and the characters of the passage where it lies (None: no answer)."""

    score: float
    characters: tuple[int, int] | None


def decode(example: Question, encoded: Encoded, outputs: Sequence[Floats], setting: Setting) -> Prediction:
    """The answer as it stands in the passage, its characters (start, end) and its probability.

    "" with start and end None where there is no answer. The probability is that of start and of end among all places
    that could be one, multiplied.
    """
    settings = setting.settings
    found = [
        best_stretch(scores_SC, piece.notes, settings.max_answer_tokens)
        for piece, scores_SC in zip(encoded.pieces, outputs, strict=True)
    ]
    best = max(found, key=lambda stretch: stretch.score)
    # All windows must find nothing, so the least of their scores for "no answer" counts
    nothing = Stretch(min(float(scores_SC[FIRST].sum()) for scores_SC in outputs), None)
    if best.characters is None or (settings.unanswerable and nothing.score > best.score):
        best = nothing
    start, end = (None, None) if best.characters is None else best.characters
    return {
        "id": example.id,
        "answer": "" if best.characters is None else example.passage[start:end],
        "start": start,
        "end": end,
        "probability": _probability(best.score, nothing.score, outputs, unanswerable=settings.unanswerable),
    }


def best_stretch(scores_SC: Floats, offsets: Offsets, longest: int) -> Stretch:
    """The stretch of at most `longest` tokens with the highest sum of start and end scores, in one window.

    The first spot is no part of the passage. A passage without visible tokens has none: its score is −∞.
    """
    start_N, end_N = scores_SC[1:, START], scores_SC[1:, END]
    best = Stretch(-np.inf, None)
    if len(start_N) == 0:
        return best
    # end e goes with the best of the starts e − longest + 1 … e
    padded = np.concatenate([np.full(longest - 1, -np.inf, start_N.dtype), start_N])
    seen_NL = np.lib.stride_tricks.sliding_window_view(padded, longest)
    ends = int((seen_NL.max(axis=1) + end_N).argmax())
    starts = ends - (longest - 1) + int(seen_NL[ends].argmax())
    characters = (offsets[starts][0], offsets[ends][1])
    return Stretch(float(start_N[starts] + end_N[ends]), characters) if characters[0] < characters[1] else best


def judge(setting: Setting) -> tuple[Metric, ...]:
    """F1 and exact match, as SQuAD's scorer or CMRC's states them."""
    return answer_f1(setting.settings.language), exact_match(setting.settings.language)


def plain(prediction: Prediction) -> str:
    """The answer."""
    return str(prediction["answer"])


def reference(example: Question, setting: Setting) -> list[str] | None:
    """All answers that count as right; none where there is no answer."""
    return None if example.answers is None else [answer.text for answer in example.answers]


def _windows(
    question: list[int], ids: list[int], offsets: Offsets, frame: Frame, setting: Setting
) -> tuple[Piece, ...]:
    room = room_in(frame, setting) - len(question)
    pieces = []
    for start, stop in windows(len(ids), room, setting.settings.overlap):
        inner, types, (_, before) = frame.fill([question, ids[start:stop]])
        spots = [FIRST, *range(before, before + stop - start)]
        pieces.append(Piece(inner, types, spots, notes=offsets[start:stop]))
    return tuple(pieces)


def _target(example: Question, pieces: Sequence[Piece]) -> list[tuple[int, int]] | None:
    """For each window, the spots where the first answer starts and ends; NO_ANSWER where it isn't wholly in it.

    None where nobody knows the answer, or none of the answers stands in the passage word for word.
    """
    if example.answers is None:
        return None
    if not example.answers:
        return [NO_ANSWER] * len(pieces)
    for answer in example.answers:
        if answer.start is not None:
            return [_spots_of(answer.start, answer.start + len(answer.text), piece.notes) for piece in pieces]
    return None


def _spots_of(low: int, high: int, offsets: Offsets) -> tuple[int, int]:
    if not offsets or offsets[0][0] > low or offsets[-1][1] < high:
        return NO_ANSWER
    inside = [place for place, (start, end) in enumerate(offsets) if start < high and end > low]
    # The first spot is not of the passage
    return (1 + inside[0], 1 + inside[-1]) if inside else NO_ANSWER


def _probability(score: float, nothing: float, outputs: Sequence[Floats], *, unanswerable: bool) -> float:
    """The softmax of starts and of ends over all windows' passages (and "no answer"), multiplied."""
    passages_SC = np.concatenate([scores_SC[1:] for scores_SC in outputs])
    if len(passages_SC) == 0:
        return 1.0
    log_total = float(np.sum([_log_sum(passages_SC[:, column]) for column in (START, END)]))
    if unanswerable:
        log_total = float(np.logaddexp(log_total, nothing))
    # A passage without a visible token has no answer to be unsure of
    return min(1.0, float(np.exp(score - log_total)))


def _log_sum(scores_N: Floats) -> float:
    highest = scores_N.max()
    return float(highest + np.log(np.exp(scores_N - highest).sum()))


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


SPAN = Task(
    settings=SpanSettings,
    settle=settle,
    stream=read_questions,
    labels=lambda examples, settings: (),
    head="span",
    columns=lambda labels: 2,
    encode=encode,
    collate=collate,
    loss=loss,
    answer=head_outputs,
    decode=decode,
    judge=judge,
    plain=plain,
    reference=reference,
)
