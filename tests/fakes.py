"""Small stand-ins that tests of any part may use: a one-layer decoder, windows of made-up tokens."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

IGNORE = -100


class FakeDecoder(nn.Module):
    """Keeps the decoder's contract for training; a token sees only itself."""

    def __init__(self, vocab_size: int = 64, width: int = 16, seed: int = 0, dropout: float = 0.0):
        super().__init__()
        self.config = SimpleNamespace(
            vocab_size=vocab_size, width=width, layers=1, heads=1, context=1024, dropout=dropout
        )
        self.embedding = nn.Embedding(vocab_size, width)
        self.inner = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)
        rng = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0.0, 0.2, generator=rng)

    @property
    def head_weight_VD(self):  # noqa: N802
        return self.embedding.weight

    def hidden(self, ids_BL, *, runs=None, cache=None):
        x_BLD = self.embedding(ids_BL)
        return self.norm(x_BLD + self.drop(torch.tanh(self.inner(x_BLD))))

    def scores(self, x):
        return x @ self.head_weight_VD.mT

    def forward(self, ids_BL, *, runs=None, cache=None):
        return self.scores(self.hidden(ids_BL))


class FakeEncoder(FakeDecoder):
    """Keeps the encoder's contract for pre-training; a token sees only itself and its segment."""

    def __init__(self, vocab_size: int = 64, width: int = 16, seed: int = 0):
        super().__init__(vocab_size, width, seed)
        rng = torch.Generator().manual_seed(seed + 1)
        self.head_bias_V = nn.Parameter(torch.randn(vocab_size, generator=rng))
        self.types = nn.Parameter(torch.randn(2, width, generator=rng))
        self.next = nn.Parameter(torch.randn(2, width, generator=rng))

    def hidden(self, ids_BL, *, runs=None, types_BL=None, spots_S=None):
        types_BL = torch.zeros_like(ids_BL) if types_BL is None else types_BL
        x_BLD = super().hidden(ids_BL) + self.types[types_BL]
        return x_BLD if spots_S is None else x_BLD.flatten(0, 1)[spots_S]

    def features(self, x_SD):
        return torch.tanh(x_SD)

    def scores(self, x_SD):
        return self.features(x_SD) @ self.head_weight_VD.mT + self.head_bias_V

    def next_scores(self, x_RD):
        return x_RD @ self.next.mT


class FakeTwoWay(FakeEncoder):
    """Keeps the contract of encoders that foretell what is on either side of a spot."""

    def features(self, x_SD):
        return torch.stack([torch.tanh(x_SD), torch.sin(x_SD)], dim=-2)

    def scores(self, x_SD):
        return super().scores(x_SD).flatten(-2)


class FakeEncoderDecoder(FakeDecoder):
    """Keeps the encoder-decoder's contract for training; a target token sees itself and the mean of its source."""

    def __init__(self, vocab_size: int = 64, width: int = 16, seed: int = 0):
        super().__init__(vocab_size, width, seed)
        self.head_bias_V = nn.Parameter(torch.randn(vocab_size, generator=torch.Generator().manual_seed(seed + 1)))

    def encode(self, ids_BL, *, runs=None):
        return torch.tanh(self.embedding(ids_BL))

    def hidden(self, ids_BL, *, source=None, runs=None, cache=None):
        means = torch.stack([states_LD.mean(0) for states_LD in source.states_SD.split(list(source.runs))])
        means_TD = means.repeat_interleave(torch.tensor(runs), dim=0)
        return super().hidden(ids_BL) + means_TD.view(*ids_BL.shape, -1)

    def features(self, x):
        return x * 0.5

    def scores(self, x):
        return self.features(x) @ self.head_weight_VD.mT + self.head_bias_V


class FakeWindows:
    """`count` windows of random tokens with a pattern to learn; window `empty`, if given, has no targets."""

    def __init__(
        self, count: int = 20, context: int = 8, vocab_size: int = 64, seed: int = 0, empty: int | None = None
    ):
        rng = np.random.default_rng(seed)
        self.context = context
        self.rows = rng.integers(0, vocab_size // 4, (count, context + 1)).cumsum(axis=1) % vocab_size
        self.empty = empty

    def __len__(self):
        return len(self.rows)

    def tokens(self, index):
        return self.context

    def batch(self, indices):
        rows = self.rows[list(indices)]
        targets = rows[:, 1:].copy()
        for row, index in enumerate(indices):
            if index == self.empty:
                targets[row] = IGNORE
        return SimpleNamespace(ids_BL=rows[:, :-1].copy(), targets_BL=targets, runs=None, past=None)
