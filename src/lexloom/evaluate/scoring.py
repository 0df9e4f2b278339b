"""How probable a model finds text: the log-probability of every token of every document.

The first token of a document is scored after the start token (bos, or eos as the end of the document before), every
other one after what precedes it. Documents longer than the context are cut into overlapping windows: each token is
scored once, in the first window that reaches it, with at least `context - stride` tokens before it.
Axes: T tokens of one batch, S scored tokens, D width, V vocabulary.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lexloom.base.errors import UserError
from lexloom.data.shards import EncodedDocument, TokenShards
from lexloom.evaluate.perplexity import DocumentScores
from lexloom.nn import likelihood

BATCH_TOKENS = 4096  # tokens that pass through the model at once
GROUP_TOKENS = 1 << 18  # tokens whose windows are sorted by length together; bounds memory

Floats = npt.NDArray[np.float32]
Tick = Callable[[int], None]
Ids = Sequence[int] | npt.NDArray[Any]


class Decoder(Protocol):
    """The part of the decoder contract that scoring uses; the vocabulary and context stand in `config`."""

    @property
    def config(self) -> Any: ...
    def hidden(self, ids_BL: Tensor, *, runs: Sequence[int]) -> Tensor: ...
    def scores(self, x: Tensor) -> Tensor: ...


def score_documents(
    model: Decoder,
    documents: Iterable[Ids],
    *,
    start_id: int,
    stride: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    tick: Tick | None = None,
) -> Iterator[Floats]:
    """The natural log-probability of each token of each document, in order.

    `documents` hold ids without the start token. `stride` is how far windows move, half the context if not given. The
    batch size changes the numbers by rounding only (less than 1e-5). `tick` is told the number of tokens done. The
    model must not be in training mode. Raises UserError if a log-probability is not a finite number.
    """
    assert not getattr(model, "training", False), "dropout would change every score: call model.eval() first"
    context = model.config.context
    stride = max(1, context // 2) if stride is None else stride
    assert 1 <= stride <= context, f"a stride of {stride} leaves tokens out of windows of {context}"
    done = 0
    for group in _groups(documents):
        scored = [np.empty(len(document), np.float32) for document in group]
        texts = [np.concatenate([[start_id], np.asarray(document, np.int64)]) for document in group]
        windows = [
            window
            for number, document in enumerate(group)
            for window in _windows(number, len(document), context, stride)
        ]
        windows.sort(key=lambda window: window.end - window.begin)  # neighbours of one length are one batch
        for batch in _batches(windows, batch_tokens):
            _score_batch(model, batch, texts, scored)
            done += sum(window.end - window.fresh for window in batch)
            if tick is not None:
                tick(done)
        yield from scored


def score_encoded(
    model: Decoder, documents: Iterable[EncodedDocument], *, start_id: int, tick: Tick | None = None
) -> DocumentScores:
    """Score documents encoded with their separator: a document's end is a token as any other.

    `tick` is told the number of tokens done.
    """
    sizes: list[tuple[int, int]] = []
    nats = [
        -log_probabilities.astype(np.float64)
        for log_probabilities in score_documents(model, _noting_sizes(documents, sizes), start_id=start_id, tick=tick)
    ]
    table = np.array(sizes, np.int64).reshape(-1, 2)
    return DocumentScores(nats, table[:, 0], table[:, 1])


def score_split(model: Decoder, shards: TokenShards, *, start_id: int, tick: Tick | None = None) -> DocumentScores:
    """Score a prepared part, as `score_encoded`; UserError if it holds no documents."""
    if len(shards.documents) == 0:
        raise UserError("holds no documents to evaluate on", where=str(shards.folder))
    return score_encoded(model, read_encoded(shards), start_id=start_id, tick=tick)


def read_encoded(shards: TokenShards) -> Iterator[EncodedDocument]:
    """The documents of a prepared part, one by one."""
    begin = 0
    for end, utf8_bytes, words in shards.documents.tolist():
        yield EncodedDocument(shards.tokens(begin, end).tolist(), utf8_bytes, words)
        begin = end


def _noting_sizes(documents: Iterable[EncodedDocument], sizes: list[tuple[int, int]]) -> Iterator[Ids]:
    for document in documents:
        sizes.append((document.utf8_bytes, document.words))
        yield document.ids


class _Window(NamedTuple):
    """Tokens `begin` to before `end` of a text are read; the targets from `fresh` on are scored."""

    document: int
    begin: int
    fresh: int
    end: int


def _groups(documents: Iterable[Ids]) -> Iterator[list[Ids]]:
    group: list[Ids] = []
    tokens = 0
    for document in documents:
        group.append(document)
        tokens += len(document)
        if tokens >= GROUP_TOKENS:
            yield group
            group, tokens = [], 0
    if group:
        yield group


def _windows(document: int, tokens: int, context: int, stride: int) -> Iterator[_Window]:
    done = 0
    while done < tokens:
        end = min(tokens, done + stride if done else context)
        yield _Window(document, max(0, end - context), done, end)
        done = end


def _batches(windows: Sequence[_Window], batch_tokens: int) -> Iterator[list[_Window]]:
    batch: list[_Window] = []
    tokens = 0
    for window in windows:
        length = window.end - window.begin
        if batch and tokens + length > batch_tokens:
            yield batch
            batch, tokens = [], 0
        batch.append(window)
        tokens += length
    if batch:
        yield batch


# Windows lie behind one another in one row, without padding; `runs` keeps them apart.
@torch.inference_mode()
def _score_batch(
    model: Decoder, batch: Sequence[_Window], texts: Sequence[npt.NDArray[np.int64]], scored: Sequence[Floats]
) -> None:
    ids_T = np.concatenate([texts[window.document][window.begin : window.end] for window in batch])
    runs = [window.end - window.begin for window in batch]
    x_TD = model.hidden(torch.from_numpy(ids_T)[None], runs=runs)[0]
    starts = np.cumsum([0, *runs[:-1]])
    places_S = np.concatenate(
        [
            np.arange(start + window.fresh - window.begin, start + window.end - window.begin)
            for start, window in zip(starts, batch, strict=True)
        ]
    )
    targets_S = np.concatenate([texts[window.document][window.fresh + 1 : window.end + 1] for window in batch])
    found_S = _log_probabilities(model, x_TD, torch.from_numpy(places_S), torch.from_numpy(targets_S))
    begin = 0
    for window in batch:
        count = window.end - window.fresh
        scored[window.document][window.fresh : window.end] = found_S[begin : begin + count]
        begin += count


def _log_probabilities(model: Decoder, x_TD: Tensor, places_S: Tensor, targets_S: Tensor) -> Floats:
    found_S: Floats = likelihood.log_probabilities(model, x_TD[places_S], targets_S).numpy()
    if not np.isfinite(found_S).all():
        raise UserError(
            "the model gave scores that aren't finite numbers",
            fix="Its weights are damaged, or its training diverged: check it with `lexloom show FOLDER`.",
        )
    return found_S
