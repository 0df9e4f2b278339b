import pytest
import torch

from lexloom.base.errors import UserError
from lexloom.nn.cache import Cache


def filled(batch: int, new: int, value: float) -> tuple[torch.Tensor, torch.Tensor]:
    k_BLGK = torch.full((batch, new, 2, 3), value)
    return k_BLGK, -k_BLGK


def new_cache(batch: int = 2, tokens: int = 6) -> Cache:
    return Cache(layers=1, batch=batch, tokens=tokens, kv_heads=2, head_width=3, device=torch.device("cpu"))


def append(cache: Cache, new: int, value: float) -> tuple[torch.Tensor, torch.Tensor]:
    batch = len(cache.lengths)
    cache.reserve(batch, new)
    views = cache.append(0, *filled(batch, new, value))
    cache.advance(new)
    return views


def test_appending_never_copies_what_is_there():
    cache = new_cache()
    first, _ = append(cache, 2, 1.0)
    second, _ = append(cache, 3, 2.0)
    assert first.data_ptr() == second.data_ptr()
    assert second[0, 0, :, 0].tolist() == [1, 1, 2, 2, 2]


def test_rows_of_different_lengths_write_behind_their_own_last_token():
    cache = new_cache()
    append(cache, 4, 1.0)
    cache.truncate(0, 1)
    keys, values = append(cache, 2, 2.0)
    assert keys[:, 0, :, 0].tolist() == [[1, 2, 2, 1, 0, 0], [1, 1, 1, 1, 2, 2]]
    assert torch.equal(values, -keys)
    assert cache.lengths == [3, 6]


def test_the_mask_shows_each_row_its_own_past_only():
    cache = new_cache(tokens=8)
    append(cache, 4, 1.0)
    cache.truncate(0, 1)
    assert cache.mask(2)[:, 0].int().tolist() == [
        [[1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]],
        [[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]],
    ]
    assert cache.positions(2).tolist() == [[1, 2], [4, 5]]


def test_even_rows_need_no_mask_for_one_token():
    cache = new_cache()
    assert cache.mask(3) is None
    append(cache, 2, 1.0)
    assert cache.mask(1) is None
    assert cache.mask(2).shape == (1, 1, 2, 4)


def test_too_many_tokens_are_refused_before_anything_is_written():
    cache = new_cache()
    append(cache, 4, 1.0)
    with pytest.raises(UserError, match="7 tokens"):
        cache.reserve(2, 3)
    assert cache.lengths == [4, 4]


def test_keep_reorders_repeats_and_drops_rows():
    cache = new_cache()
    append(cache, 2, 1.0)
    cache.truncate(1, 1)
    cache.keep([1, 0, 1])
    keys, _ = append(cache, 1, 5.0)
    assert cache.lengths == [2, 3, 2]
    assert [keys[row, 0, :length, 0].tolist() for row, length in enumerate(cache.lengths)] == [
        [1, 5],
        [1, 1, 5],
        [1, 5],
    ]


def test_truncating_beyond_the_end_is_our_mistake():
    cache = new_cache()
    with pytest.raises(AssertionError, match="truncate"):
        cache.truncate(0, 1)


def test_rows_join_behind_the_others_with_room_for_the_longer():
    cache, other = new_cache(batch=2, tokens=4), new_cache(batch=1, tokens=7)
    append(cache, 2, 1.0)
    append(other, 5, 3.0)
    cache.join(other)
    cache.truncate(1, 1)
    keys, values = append(cache, 2, 4.0)
    assert cache.tokens == 7
    assert [row[:n] for row, n in zip(keys[:, 0, :, 0].tolist(), cache.lengths, strict=True)] == [
        [1, 1, 4, 4],
        [1, 4, 4],
        [3, 3, 3, 3, 3, 4, 4],
    ]
    assert torch.equal(values, -keys)


def test_what_is_taken_is_a_copy():
    cache = new_cache()
    append(cache, 4, 1.0)
    taken = cache.take(1, 3, 5)
    cache.truncate(1, 0)
    cache.truncate(0, 0)
    append(cache, 4, 9.0)
    keys, _ = append(taken, 2, 2.0)
    assert keys[0, 0, :, 0].tolist() == [1, 1, 1, 2, 2]
    assert taken.nbytes == 2 * 4 * 2 * 5 * 3


def test_rows_that_come_and_go_don_t_make_it_grow():
    cache = new_cache(batch=1)
    append(cache, 2, 1.0)
    for _ in range(50):
        cache.join(cache.take(0, 2, 6))
        cache.keep([1])
    assert cache.nbytes <= 2 * 2 * new_cache(batch=1).nbytes


def test_a_row_that_broke_leaves_nothing_behind():
    cache, other = new_cache(batch=1), new_cache(batch=1)
    append(cache, 1, 1.0)
    append(other, 5, float("nan"))
    cache.join(other)
    cache.keep([0])
    assert not torch.isnan(cache._keys).any()
    assert not torch.isnan(cache._values).any()
