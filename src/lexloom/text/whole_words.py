"""Whole words as tokens, in one ordinary tokenizer.json: words between spaces, and Chinese words by their frequency.

The words of other scripts than Chinese get a mark on both sides, `▁word▁`, so that no word can be cut into others; a
unigram model then knows the whole word or nothing. In a Chinese run it finds the most probable sequence of words, as
jieba does with its dictionary; the vocabulary and the frequencies come from jieba's cuts of the training texts.

Plain texts, of Latin letters and common punctuation, are cut by Python instead of the library, to the same words in a
sixth of the time.
"""

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from lexloom.text import samples
from lexloom.text.segmentation import HAN_LETTER, chinese_words

MARK = "▁"

_LETTER = rf"[\p{{L}}\p{{M}}\p{{N}}_&&[^{samples.HAN}]]"
_EDGES = rf"(?<!{_LETTER})(?={_LETTER})|(?<={_LETTER})(?!{_LETTER})"
_WORDS = rf"{MARK}{_LETTER}+{MARK}|[{samples.HAN}]+|\S"

_PLAIN = re.compile("[\0-\u012f\u2010-\u2027]*")
"""Here Python and the library agree on what a letter, a space and a small letter is."""
_PLAIN_WORDS = re.compile(r"\w+|[^\w\s]|[\x1c-\x1f]")


def count_words(texts: Iterable[str], *, lowercase: bool) -> Counter[str]:
    """How often each word occurs, spelled as `word_tokenizer` spells it."""
    normalizer, cutter = _normalizer(lowercase=lowercase), _cutter()
    plain: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    for text in texts:
        if _is_plain(text):
            plain.update(_plain_words(text, lowercase=lowercase))
        else:
            runs.update(run for run, _ in cutter.pre_tokenize_str(normalizer.normalize_str(text)))
    counts: Counter[str] = Counter({name_of(word): count for word, count in plain.items()})
    for run, count in runs.items():
        for word in chinese_words(run) if HAN_LETTER.match(run) else (run,):
            counts[word] += count
    return counts


def word_tokenizer(
    counts: Mapping[str, float], size: int, special: list[str], *, unk_id: int, lowercase: bool
) -> tokenizers.Tokenizer:
    """The tokenizer of the `size` most frequent words, `special` among them and first.

    Decoding puts a space between words that had marks, and at such words beside punctuation as English writes it.
    """
    kept = samples.most_common({word: count for word, count in counts.items() if word != MARK}, size - len(special))
    total = math.log(max(1, sum(counts[word] for word in kept)))
    scores = [(word, round(math.log(counts[word]) - total, DECIMALS)) for word in kept]
    vocab = [*((token, 0.0) for token in special), *scores]
    inner = tokenizers.Tokenizer(models.Unigram(vocab, unk_id=unk_id))
    inner.normalizer = _normalizer(lowercase=lowercase)
    inner.pre_tokenizer = _cutter()
    inner.decoder = decoders.Sequence([decoders.Fuse(), *(decoders.Replace(Regex(a), b) for a, b in _SPACES)])
    return inner


def plain_encoder(content: Mapping[str, Any]) -> Callable[[str], list[int] | None] | None:
    """What gives the ids of a plain text, None for other texts; of a tokenizer.json that isn't of this kind, None."""
    model, found = content["model"], content.get("normalizer")
    folds = [fold for fold in (True, False) if found == _json_of(_normalizer(lowercase=fold))]
    if not folds or content.get("pre_tokenizer") != _json_of(_cutter()) or model.get("type") != "Unigram":
        return None
    if model.get("byte_fallback") or not all(token["special"] for token in content.get("added_tokens", ())):
        return None
    ids, unk_id = {word_of(name): number for number, (name, _) in enumerate(model["vocab"])}, model["unk_id"]

    def encode(text: str) -> list[int] | None:
        if not _is_plain(text):
            return None
        return [ids.get(word, unk_id) for word in _plain_words(text, lowercase=folds[0])]

    return encode


DECIMALS = 6

_SPACES = (
    (f"{MARK}{MARK}", " "),
    (rf"(?<=[.,;:!?)\]}}…]){MARK}(?!\p{{N}})|{MARK}(?=[(\[{{])", " "),
    (MARK, ""),
)
"""What marks become between words, behind and before punctuation, and elsewhere; digits stay at their point."""


def _normalizer(*, lowercase: bool) -> normalizers.Normalizer:
    marks = normalizers.Replace(Regex(_EDGES), MARK)
    return normalizers.Sequence([normalizers.Lowercase(), marks] if lowercase else [marks])


def _cutter() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True)


def _json_of(part: normalizers.Normalizer | pre_tokenizers.PreTokenizer) -> Any:
    """A part of a tokenizer, as tokenizer.json has it."""
    return json.loads(part.__getstate__())


def _is_plain(text: str) -> bool:
    return text.isascii() or _PLAIN.fullmatch(text) is not None


def _plain_words(text: str, *, lowercase: bool) -> list[str]:
    """The words of a plain text, without marks."""
    words: list[str] = _PLAIN_WORDS.findall(text.lower() if lowercase else text)
    return words


def word_of(name: str) -> str:
    """What a token's name in the vocabulary stands for: the word without its marks; other names stay as they are."""
    inner = name[1:-1]
    return inner if inner and name == f"{MARK}{inner}{MARK}" and MARK not in inner else name


def name_of(word: str) -> str:
    """The name that a word has in a vocabulary of whole words."""
    letters = all(unicodedata.category(letter)[0] in "LMN" or letter == "_" for letter in word)
    return f"{MARK}{word}{MARK}" if word and letters and not HAN_LETTER.search(word) else word
