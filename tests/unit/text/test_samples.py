from itertools import islice

import pytest

from lexloom.text import samples


def test_a_sample_is_even_bounded_and_always_the_same():
    texts = [f"document {number} " + "x" * (number % 200) for number in range(5000)]
    size = sum(map(len, texts))
    sample = samples.sample_evenly(iter(texts), size // 10)
    assert sample == samples.sample_evenly(iter(texts), size // 10)
    assert 0.98 * size / 10 < sum(map(len, sample)) <= size / 10
    numbers = [int(text.split()[1]) for text in sample]
    assert numbers == sorted(numbers)
    fifths = [sum(start <= number < start + 1000 for number in numbers) for start in range(0, 5000, 1000)]
    assert min(fifths) > 0.6 * len(numbers) / 5
    assert samples.sample_evenly(iter(texts), size) == texts


def test_adding_documents_keeps_most_of_a_sample():
    texts = [f"document {number}" * 3 for number in range(2000)]
    before = set(samples.sample_evenly(texts, 8000))
    after = set(samples.sample_evenly([*texts, *(f"new {number}" * 5 for number in range(200))], 8000))
    assert len(before & after) > 0.8 * len(before)


@pytest.mark.parametrize("text", ["word " * 50_000, "中" * 200_000, "a\n" * 90_000, "x" * 32_768, ""])
def test_slices_are_bounded_and_together_the_text(text):
    parts = samples.slices(text)
    assert "".join(parts) == text
    assert max(map(len, parts)) <= samples.SLICE_CHARACTERS


def test_one_document_larger_than_the_sample_is_sampled_within():
    text = "".join(f"line {number}\n" for number in range(300_000))
    sample = samples.sample_evenly([text], 1_000_000)
    assert 0.9e6 < sum(map(len, sample)) <= 1e6
    assert all(part in text for part in islice(sample, 3))
