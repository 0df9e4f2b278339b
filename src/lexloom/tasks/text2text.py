"""From text to text: translation, summaries, questions; an encoder-decoder reads one text and writes another.

It learns by teacher forcing, each token of the target from the source and the tokens before it. Presets (translate,
summarise, ask) are the same task with other metrics and other ways to write. Sources: Vaswani et al. 2017
(arXiv:1706.03762); Raffel et al. 2020 (arXiv:1910.10683), section 2.4, for the prefix that says what is wanted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

import torch

from lexloom.base.ledger import Ledger
from lexloom.data.batches import IGNORE
from lexloom.generate.beam import Hypothesis
from lexloom.generate.settings import WritingSettings
from lexloom.generate.writing import write
from lexloom.labelled.examples import Pair
from lexloom.labelled.pairs import PairSettings, is_written_in, stream_pairs
from lexloom.metrics import Metric, bleu, chrf, rouge
from lexloom.objectives.contract import Batch, Loss
from lexloom.objectives.pairs import ends_of, pairs_loss
from lexloom.tasks.contract import Baseline, Encoded, Piece, Prediction, Setting, Task, Weighing
from lexloom.tasks.encoding import STAGE, Cut, count_cuts, encoded_once
from lexloom.text.segmentation import first_sentence

TOO_LONG = "pair beyond the limit of tokens, not learned"
WRITTEN_AT_ONCE = 512
"""Texts between two ticks."""
TOKENS_TO_READ = 4
"""A batch of texts to be written takes so many times the tokens of one to be read: its steps are small."""


class Text2TextSettings(PairSettings):
    """Which texts are pairs, what the model is told before each, and how it writes."""

    preset: Literal["translate", "summarise", "ask"] = "translate"
    """Which metrics judge it, and how it writes unless `writing` says so: translations by BLEU and chrF, summaries by
    ROUGE, questions about a text by BLEU and ROUGE-L."""
    prefix: str = ""
    """What stands before each source; T5 wants "translate English to German: " or "summarize: "."""
    long_pairs: Literal["cut", "drop"] = "cut"
    """What becomes of pairs with a side longer than train.max_tokens: `cut` learns the beginning of that side, `drop`
    doesn't learn them. Sources to be answered are always cut."""
    writing: WritingSettings | None = None
    """How texts are written, such as {beams = 4, length_penalty = 1.0}; unset: as the preset has it."""


@dataclass(frozen=True)
class Preset:
    """What differs between kinds of text: language → metrics, how to write, and what can be written without a model."""

    judge: Callable[[str | None], tuple[Metric, ...]]
    writing: WritingSettings
    baseline: Baseline | None = None


def _translations(language: str | None) -> tuple[Metric, ...]:
    return bleu("" if language is None else language), chrf()


def _summaries(language: str | None) -> tuple[Metric, ...]:
    unit: Literal["characters", "words"] = "characters" if language == "zh" else "words"
    return rouge("1", unit), rouge("2", unit), rouge("L", unit)


def _questions(language: str | None) -> tuple[Metric, ...]:
    return bleu("" if language is None else language), _summaries(language)[-1]


def _lead(example: Pair) -> Prediction:
    return {"text": first_sentence(example.source), "score": 0.0}


def _writing(**settings: float) -> WritingSettings:
    return WritingSettings.model_validate(settings)


PRESETS = {
    "translate": Preset(_translations, _writing(beams=4, max_ratio=3.0)),
    "summarise": Preset(
        _summaries,
        _writing(beams=4, max_tokens=128, no_repeat_ngram=3),
        Baseline("the first sentence", _lead),
    ),
    "ask": Preset(_questions, _writing(beams=4, max_tokens=64)),
}


def writing_of(setting: Setting) -> WritingSettings:
    """How texts are written; a published model's settings leave it to the preset."""
    chosen: WritingSettings | None = setting.settings.writing
    return PRESETS[setting.settings.preset].writing if chosen is None else chosen


def settle(examples: Sequence[Pair], settings: Text2TextSettings) -> Text2TextSettings:
    """Fill in the language of the targets and the way to write."""
    known = [example.targets[0] for example in examples if example.targets]
    chinese = 2 * sum(is_written_in("zh", target) for target in known) > len(known)
    language = "zh" if settings.target_language is None and chinese else settings.target_language
    writing = PRESETS[settings.preset].writing if settings.writing is None else settings.writing
    return settings.model_copy(update={"target_language": language, "writing": writing})


def encode(examples: Sequence[Pair], setting: Setting, ledger: Ledger) -> list[Encoded]:
    """A piece for the source and one for the target to be learned, each ended by the end-of-text token."""
    prefix, room = setting.settings.prefix, setting.max_tokens - 1
    sources = [prefix + example.source for example in examples]
    ids_of = encoded_once(chain(sources, *(example.targets[:1] for example in examples)), setting)
    encoded, lost = [], list[Cut]()
    for example, source in zip(examples, sources, strict=True):
        texts = [source, *example.targets[:1]]
        long = [text for text in texts if len(ids_of[text]) > room]
        if long and setting.settings.long_pairs == "drop" and example.targets:
            ledger.count(STAGE, TOO_LONG, characters=sum(map(len, texts)), where=example.where)
            texts = [source]
        lost += [Cut(text, room, example.where) for text in texts if text in long]
        encoded.append(_encoded([ids_of[text] for text in texts], setting))
    count_cuts(lost, setting, ledger)
    return encoded


def collate(encoded: Sequence[Encoded], setting: Setting) -> Batch:
    """Sources and targets behind one another, neighbours of about one length; targets are the tokens to be foretold."""
    learned = [example for example in encoded if example.target is not None]
    learned = sorted(learned, key=lambda example: [len(piece.ids) for piece in example.pieces])
    start_id = ends_of(setting.tokenizer).start_id
    sources = [example.pieces[0].ids for example in learned or encoded[:1]]
    targets = [example.target for example in learned] or [[IGNORE]]
    return Batch(
        ids_BL=torch.tensor([[token for target in targets for token in (start_id, *target[:-1])]]),
        targets=torch.tensor([list(chain.from_iterable(targets))]),
        runs=tuple(map(len, targets)),
        count=sum(len(example.target) for example in learned),
        source_BL=torch.tensor([list(chain.from_iterable(sources))]),
        source_runs=tuple(map(len, sources)),
    )


def loss(model: Any, batch: Batch, setting: Setting, weighing: Weighing) -> Loss:
    """Cross entropy of each target token, its smoothing spread over the vocabulary. There are no labels to weigh."""
    return pairs_loss(model, batch, smoothing=weighing.smoothing)


def draft(setting: Setting) -> Setting:
    """The best token each time instead of a search, which costs a fraction and ranks models alike."""
    writing = writing_of(setting).model_copy(update={"beams": 1, "n_best": 1})
    return replace(setting, settings=setting.settings.model_copy(update={"writing": writing}))


def answer(
    model: Any, encoded: Sequence[Encoded], setting: Setting, batch_tokens: int, threads: int | None = None
) -> Iterator[list[list[Hypothesis]]]:
    """For each source the texts found, the best one first."""
    end_id = ends_of(setting.tokenizer).end_id
    sources = [example.pieces[0].ids for example in encoded]
    for start in range(0, len(sources), WRITTEN_AT_ONCE):
        found = write(
            model,
            sources[start : start + WRITTEN_AT_ONCE],
            writing_of(setting),
            eos_ids=[end_id],
            barred_ids=[model.config.pad_id],
            batch_tokens=TOKENS_TO_READ * batch_tokens,
            threads=threads,
        )
        for hypotheses in found:
            yield [hypotheses]


def decode(example: Pair, encoded: Encoded, outputs: Sequence[Any], setting: Setting) -> Prediction:
    """The best text with its score, and `others` if several are wanted. Of nothing, nothing is written."""
    if not example.source.strip():
        return {"text": "", "score": 0.0}
    best, *others = [_text(hypothesis, setting) for hypothesis in outputs[0]]
    return {**best, "others": others} if writing_of(setting).n_best > 1 else best


def judge(setting: Setting) -> tuple[Metric, ...]:
    """As the preset has it."""
    return PRESETS[setting.settings.preset].judge(setting.settings.target_language)


def baseline(setting: Setting) -> Baseline | None:
    """Of a summary the first sentence of its text, which is hard to beat where authors come to the point at once."""
    return PRESETS[setting.settings.preset].baseline


def plain(prediction: Prediction) -> str:
    """The text."""
    return str(prediction["text"])


def reference(example: Pair, setting: Setting) -> list[str] | None:
    """All targets that are right."""
    return list(example.targets) if example.targets else None


def _encoded(ids: Sequence[list[int]], setting: Setting) -> Encoded:
    """What is cut has no end: the model isn't to learn to end there."""
    room, end_id = setting.max_tokens - 1, ends_of(setting.tokenizer).end_id
    source, *targets = [[*text[:room], end_id] for text in ids]
    if not targets:
        return Encoded((_piece(source),), None)
    target = ids[1][: setting.max_tokens] if len(ids[1]) > room else targets[0]
    return Encoded((_piece(source), _piece(target)), target)


def _piece(ids: list[int]) -> Piece:
    return Piece(ids, [0] * len(ids), [])


def _text(hypothesis: Hypothesis, setting: Setting) -> Prediction:
    return {"text": setting.tokenizer.decode(hypothesis.written).strip(), "score": hypothesis.score}


TEXT2TEXT = Task(
    settings=Text2TextSettings,
    settle=settle,
    stream=stream_pairs,
    labels=lambda examples, settings: (),
    needs=("encoder-decoder",),
    head="none",
    columns=lambda labels: 0,
    encode=encode,
    collate=collate,
    loss=loss,
    draft=draft,
    answer=answer,
    decode=decode,
    judge=judge,
    plain=plain,
    reference=reference,
    baseline=baseline,
)
