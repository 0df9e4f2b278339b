"""Words of a text, and its first sentence.

A word is a run of letters and digits; of Chinese, what jieba's dictionary finds; every other mark alone.
"""

import math
import re
from collections.abc import Iterator
from functools import cache, lru_cache

from lexloom.text.samples import HAN

REMEMBERED_RUNS = 1 << 15
NO_WORD = -math.inf

HAN_LETTER = re.compile(rf"[{HAN}]")
_FIRST_SENTENCE = re.compile(r"\S.*?(?:[。！？!?…]+|\.(?![A-Za-z0-9.])|$)[”’\"'」』）)]*", re.MULTILINE)
_PART = re.compile(rf"[{HAN}]+|\s+|(?:(?![{HAN}])\w)+|.", re.DOTALL)
_UNIT = re.compile(_PART.pattern.replace(f"[{HAN}]+", f"[{HAN}]", 1), re.DOTALL)


def words(text: str) -> list[str]:
    """The words of a text in order, without the spaces between them."""
    return [part for part in parts(text) if not part.isspace()]


def characters(text: str) -> list[str]:
    """The Chinese characters of a text one by one, and its other words and marks, without the spaces between them."""
    return [unit for unit in _UNIT.findall(text) if not unit.isspace()]


def first_sentence(text: str) -> str:
    """The beginning of a text up to a mark that ends a sentence, or to the end of its first line with any text."""
    found = _FIRST_SENTENCE.search(text)
    return "" if found is None else found[0].rstrip()


def parts(text: str) -> Iterator[str]:
    """The words and the spaces between them; joined they are the text."""
    for part in _PART.findall(text):
        if HAN_LETTER.match(part):
            yield from chinese_words(part)
        else:
            yield part


@lru_cache(maxsize=REMEMBERED_RUNS)
def chinese_words(run: str) -> tuple[str, ...]:
    """The words of `jieba.cut(run, HMM=False)`, in a fifth of its time: they are looked for while a model learns."""
    ends = _best_ends(run, *_dictionary())
    found, start = [], 0
    while start < len(run):
        found.append(run[start : ends[start]])
        start = ends[start]
    return tuple(found)


def _best_ends(run: str, log_probs: dict[str, float], unknown: float) -> list[int]:
    """For each place of a run, where the word ends that begins there in the most probable sequence of words."""
    best, ends = [0.0] * (len(run) + 1), [0] * len(run)
    for start in range(len(run) - 1, -1, -1):
        score = NO_WORD
        for stop in range(start + 1, len(run) + 1):
            found = log_probs.get(run[start:stop])
            if found is None:
                break
            if found + best[stop] >= score:
                score, ends[start] = found + best[stop], stop
        if score == NO_WORD:
            score, ends[start] = unknown + best[start + 1], start + 1
        best[start] = score
    return ends


@cache
def _dictionary() -> tuple[dict[str, float], float]:
    """The log-probabilities of jieba's words (−∞ for what is only the beginning of words), and that of any other.

    It is built in memory: jieba by itself keeps a cache in the folder for temporary files that all users share, and
    reads as code whatever lies there.
    """
    import jieba  # a second and 100 MB, for whoever needs Chinese words only

    tokenizer = jieba.Tokenizer()
    counts, total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    log_probs = {word: math.log(count) - math.log(total) if count else NO_WORD for word, count in counts.items()}
    return log_probs, -math.log(total)
