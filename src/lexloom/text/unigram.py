"""Training of unigram vocabularies (Kudo 2018, arXiv:1804.10959), the same bytes every time.

The library's own trainer sums in the order of a randomly seeded hash table: two trainings on one text differ. This one
starts from the merges of byte-pair encoding instead of a suffix array, and counts along the best segmentation (Viterbi)
instead of over all of them; both come from the library's compiled code. Pieces are pruned by the likelihood that their
loss costs, as in SentencePiece.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from lexloom.text import samples

SPACE = "▁"
COVERAGE = 0.9995  # of the characters of the text; the rest is left to byte pieces (SentencePiece's default)
LETTERS_SHARE = 0.5  # of the vocabulary at most, so that a large alphabet leaves room for longer pieces
MAX_PIECE = 16  # characters (SentencePiece's default)
SEED_FACTOR = 4  # seeds per piece wanted
KEEP = 0.75  # of the pieces per round of pruning (SentencePiece's default)
ROUNDS = 2  # of counting before each pruning (SentencePiece's default)
DECIMALS = 6
BATCH_WORDS = 1 << 15  # segmented at once; bounds memory

_WORDS = re.compile(
    rf"{SPACE}?[{samples.HAN}]{{1,{samples.HAN_RUN}}}|{SPACE}?[^{SPACE}<\n{samples.HAN}]{{1,{samples.WORD_RUN}}}|{SPACE}"
)


def train_unigram(texts: Iterable[str], size: int) -> list[tuple[str, float]]:
    """At most `size` pieces with their log probabilities, most probable first.

    A space is part of the following word and written `▁`; `<` and the line break stand alone.
    """
    texts = list(texts)
    words = Counter(word for text in texts for word in _WORDS.findall(text.replace(" ", SPACE)))
    letters = _letters(texts, size)
    unique = sorted(words)
    counts = np.array([words[word] for word in unique], dtype=np.float64)
    scores = _seed_scores(words, letters, size)
    while True:
        for _ in range(ROUNDS):
            used = _count_pieces(scores, unique, counts)
            scores = _log_shares({piece: used[piece] for piece in scores if used[piece] or piece in letters})
        if len(scores) <= size:
            return sorted(((piece, round(score, DECIMALS)) for piece, score in scores.items()), key=_by_score)
        scores = _prune(scores, used, letters, max(size, int(KEEP * len(scores))))


def _letters(texts: list[str], size: int) -> dict[str, int]:
    """The characters that get a piece of their own, with their counts."""
    counts = samples.count_characters(texts)
    counts[SPACE] += counts.pop(" ", 0)
    covered, total = 0, counts.total()
    letters = {}
    for letter in samples.most_common(counts, max(1, int(LETTERS_SHARE * size))):
        if covered >= COVERAGE * total and letter not in (SPACE, "\n", "<"):
            continue
        covered += counts[letter]
        letters[letter] = counts[letter]
    return letters


def _seed_scores(words: Counter[str], letters: dict[str, int], size: int) -> dict[str, float]:
    """Pieces to begin with: what byte-pair encoding merges, weighted by frequency times length."""
    scratch = tokenizers.Tokenizer(models.BPE())
    scratch.pre_tokenizer = pre_tokenizers.Split("\n", "removed")
    trainer = trainers.BpeTrainer(vocab_size=SEED_FACTOR * size, max_token_length=MAX_PIECE, show_progress=False)
    lines = ("\n".join([word] * count) for word, count in words.items())
    scratch.train_from_iterator(lines, trainer)
    seeds = {piece for piece in scratch.get_vocab() if len(piece) > 1 and letters.keys() >= set(piece)}
    found: Counter[str] = Counter()
    for word, count in words.items():
        for start in range(len(word)):
            for end in range(start + 2, min(len(word), start + MAX_PIECE) + 1):
                if word[start:end] in seeds:
                    found[word[start:end]] += count
    return _log_shares({**letters, **{piece: found[piece] * len(piece) for piece in sorted(seeds)}})


def _count_pieces(scores: dict[str, float], unique: list[str], counts: np.ndarray) -> dict[str, float]:
    """How often each piece is used when every word is cut the most probable way."""
    pieces = list(scores)
    model = tokenizers.Tokenizer(models.Unigram([("<unk>", 0.0), *scores.items()], unk_id=0))
    used = np.zeros(len(pieces) + 1)
    for start in range(0, len(unique), BATCH_WORDS):
        encoded = [encoding.ids for encoding in model.encode_batch_fast(unique[start : start + BATCH_WORDS])]
        ids = np.fromiter(itertools.chain.from_iterable(encoded), dtype=np.int64)
        weights = np.repeat(counts[start : start + BATCH_WORDS], [len(word) for word in encoded])
        used += np.bincount(ids, weights=weights, minlength=len(used))
    return dict(zip(pieces, used[1:].tolist(), strict=True))


def _log_shares(used: dict[str, float]) -> dict[str, float]:
    """Log probabilities; a letter that was never used alone counts as used once."""
    total = math.log(sum(max(count, 1.0) for count in used.values()))
    return {piece: math.log(max(count, 1.0)) - total for piece, count in used.items()}


def _prune(scores: dict[str, float], used: dict[str, float], letters: dict[str, int], keep: int) -> dict[str, float]:
    """Drop the pieces whose loss costs the least likelihood; letters stay."""
    losses = {
        piece: used[piece] * (score - _without(piece, scores))
        for piece, score in scores.items()
        if piece not in letters
    }
    best = set(sorted(losses, key=lambda piece: (-losses[piece], piece))[: max(0, keep - len(letters))])
    return {piece: score for piece, score in scores.items() if piece in letters or piece in best}


def _without(piece: str, scores: dict[str, float]) -> float:
    """The log probability of a piece's best segmentation into others."""
    best = [0.0] + [-math.inf] * len(piece)
    for end in range(1, len(piece) + 1):
        for start in range(end):
            if (start, end) != (0, len(piece)):
                score = scores.get(piece[start:end], -math.inf)
                best[end] = max(best[end], best[start] + score)
    return best[-1]


def _by_score(entry: tuple[str, float]) -> tuple[float, str]:
    return -entry[1], entry[0]
