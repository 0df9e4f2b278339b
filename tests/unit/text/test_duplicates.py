import random
import subprocess
import sys

import numpy as np
import pytest

from lexloom.text.duplicates import (
    FOUND_SHARE,
    PERMUTATIONS,
    banding,
    content_hash,
    near_duplicates,
    signatures,
)
from lexloom.text.shingles import PIECE_CHARACTERS, shingles, weighted_shingles

CHARACTERS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜金生丽水玉出昆冈"


def words(rng: random.Random, count: int) -> list[str]:
    return ["".join(rng.choices("abcdefghij", k=5)) for _ in range(count)]


def jaccard(left: str, right: str) -> float:
    a, b = (set(shingles([text], 5)[0].tolist()) for text in (left, right))
    return len(a & b) / len(a | b)


def estimate(left: str, right: str) -> float:
    rows = signatures([left, right], 5)
    return float((rows[0] == rows[1]).mean())


def dropped(texts: list[str], threshold: float = 0.8) -> list[int]:
    return np.flatnonzero(near_duplicates([signatures(texts, 5)], threshold)).tolist()


@pytest.mark.parametrize("other", ["a b\nc", " a  b c ", "a\u3000b c", "a b\tc"])
def test_exact_duplicates_differ_only_in_white_space_and_composition(other: str) -> None:
    assert content_hash("a b c") == content_hash(other)
    assert content_hash("caf\u00e9") == content_hash("cafe\u0301")
    assert content_hash("a b c") != content_hash("a b C")
    assert content_hash("abc") != content_hash("a b c")


def test_estimate_is_close_to_the_true_jaccard() -> None:
    rng = random.Random(1)
    for share in (0.1, 0.3, 0.5, 0.9):
        base = words(rng, 400)
        other = [word if rng.random() < share else "".join(rng.choices("xyz", k=5)) for word in base]
        left, right = " ".join(base), " ".join(other)
        # four standard errors of 128 coin tosses
        assert abs(estimate(left, right) - jaccard(left, right)) < 4 * 0.5 / PERMUTATIONS**0.5


def test_near_duplicates_are_found_and_the_first_stays() -> None:
    rng = random.Random(2)
    base = words(rng, 200)
    changed = [*base[:100], "changed", *base[101:]]
    texts = [" ".join(words(rng, 200)), " ".join(base), " ".join(words(rng, 200)), " ".join(changed)]
    assert dropped(texts) == [3]
    assert dropped(texts[::-1]) == [2]


def test_chinese_near_duplicates_are_found_without_spaces() -> None:
    rng = random.Random(3)
    texts = ["".join(rng.choices(CHARACTERS, k=300)) for _ in range(20)]
    texts.append(texts[7][:150] + "新" + texts[7][150:])
    texts.append("，".join(texts[9][at : at + 7] for at in range(0, 300, 7)) + "。")
    assert dropped(texts) == [20, 21]


def test_mixed_text_is_compared_by_words_and_characters() -> None:
    text = "GPT-2 是 OpenAI 在 2019 年发布的语言模型 with 1.5 billion parameters，能写出 coherent 的文章。" * 3
    assert dropped([text, text.upper(), text.replace("文章", "诗歌", 1)]) == [1, 2]


def test_different_short_documents_are_all_kept() -> None:
    rng = random.Random(4)
    texts = ["".join(rng.choices(CHARACTERS, k=8)) for _ in range(3000)]
    assert dropped([*texts, "", "!", "?", "，", "a", "b"]) == []


def test_blocks_do_not_change_the_result() -> None:
    rng = random.Random(5)
    texts = [" ".join(words(rng, 30)) for _ in range(200)]
    texts += [text + " more" for text in texts[::3]]
    rows = signatures(texts, 5)
    whole = near_duplicates([rows], 0.7)
    assert whole.sum() > 0
    assert np.array_equal(near_duplicates([rows[:7], rows[7:7], rows[7:150], rows[150:]], 0.7), whole)


def test_a_thousand_near_copies_leave_one() -> None:
    base = words(random.Random(6), 300)
    texts = [" ".join([*base[:number], "x", *base[number + 1 :]]) for number in range(300)]
    assert dropped(texts) == list(range(1, 300))


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.7, 0.8, 0.9, 0.99])
def test_bands_find_nearly_all_pairs_at_the_threshold(threshold: float) -> None:
    bands, width = banding(threshold)
    assert bands * width <= PERMUTATIONS
    assert 1 - (1 - threshold**width) ** bands >= FOUND_SHARE


def test_half_a_million_short_documents_stay_below_400_megabytes() -> None:
    code = (
        "import numpy as np, re\n"
        "from lexloom.text.duplicates import near_duplicates\n"
        "rng = np.random.default_rng(0)\n"
        "blocks = [rng.integers(0, 1 << 16, size=(5000, 128), dtype=np.uint16) for _ in range(100)]\n"
        "blocks[-1][:1000] = blocks[0][:1000]\n"
        # Of this program alone: what getrusage says begins with the size of the process that started it
        "found, status = near_duplicates(blocks, 0.8).sum(), open('/proc/self/status').read()\n"
        "print(found, re.search(r'VmHWM:\\s+(\\d+)', status)[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    found, peak_kilobytes = map(int, done.stdout.split())
    assert found == 1000
    assert peak_kilobytes < 400_000


def test_shingles_of_a_batch_are_those_of_each_text() -> None:
    texts = ["one two three four five six", "", "天地玄黄宇宙", "!", "İstanbul ıŞ a b c d e", "word", "a-b_c d"]
    hashes, offsets = shingles(texts, 5)
    for index, text in enumerate(texts):
        alone, _ = shingles([text], 5)
        assert hashes[offsets[index] : offsets[index + 1]].tolist() == alone.tolist(), text
    assert np.diff(offsets).tolist() == [2, 0, 2, 0, 3, 1, 1]


def test_units_ignore_case_and_punctuation_but_not_order() -> None:
    def hashes(text: str) -> list[int]:
        return shingles([text], 2)[0].tolist()

    assert hashes("Hello, World") == hashes("hello world")
    assert hashes("春，眠") == hashes("春眠")
    assert hashes("ab cd") != hashes("cd ab")
    assert hashes("ab c") != hashes("a bc")
    assert hashes("ab") != hashes("ba")


def test_long_texts_are_hashed_in_pieces_without_losing_stretches() -> None:
    rng = random.Random(7)
    text = "".join(rng.choices(CHARACTERS, k=PIECE_CHARACTERS + 5000))
    across = text[PIECE_CHARACTERS - 20 : PIECE_CHARACTERS + 20]
    known = set(weighted_shingles([text], 13)[0].tolist())
    assert set(weighted_shingles([across], 13)[0].tolist()) <= known
    hashes, offsets = shingles(["a b", text, "c d"], 5)
    assert offsets[-1] == len(hashes) > PIECE_CHARACTERS


def test_weighted_stretches_count_two_characters_as_a_word() -> None:
    assert len(weighted_shingles(["天" * 25], 13)[0]) == 0
    assert len(weighted_shingles(["天" * 27], 13)[0]) == 2
    assert len(weighted_shingles(["a " * 12], 13)[0]) == 0
    assert len(weighted_shingles(["a " * 14], 13)[0]) == 2
    _, offsets = weighted_shingles(["a " * 14, "", "b " * 13], 13)
    assert offsets.tolist() == [0, 2, 2, 3]
