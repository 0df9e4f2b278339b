from concurrent.futures import ThreadPoolExecutor

import torch

from lexloom.nn.attention import attend
from lexloom.nn.dropout import Dropout, seed_dropout


def drawn(*name, share=0.25, size=100_000):
    seed_dropout(*name)
    return Dropout(share)(torch.ones(size))


def test_the_share_is_dropped_and_the_mean_is_kept():
    y = drawn("a")
    assert abs((y == 0).float().mean() - 0.25) < 0.01
    assert abs(y.mean() - 1) < 0.01
    assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}


def test_masks_depend_on_their_name_alone():
    assert torch.equal(drawn("a", 1), drawn("a", 1))
    assert not torch.equal(drawn("a", 1), drawn("a", 2))


def test_threads_do_not_disturb_one_another():
    alone = [drawn("thread", number) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda number: drawn("thread", number), range(8)))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_gradient_passes_where_the_value_passed():
    x = torch.ones(1000, requires_grad=True)
    seed_dropout("gradient")
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_no_dropout_outside_of_training_or_at_zero():
    x = torch.randn(10)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_attention_with_dropout_means_what_attention_without_it_says():
    q, k, v = (torch.randn(1, 6, heads, 8, generator=torch.Generator().manual_seed(heads)) for heads in (4, 2, 2))
    seed_dropout("attention")
    many = torch.stack([attend(q, k, v, dropout=Dropout(0.2)) for _ in range(4000)])
    assert (many.mean(0) - attend(q, k, v)).abs().max() < 0.05
    assert many.std(0)[:, 1:].min() > 0
