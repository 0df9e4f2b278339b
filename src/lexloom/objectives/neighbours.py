"""Words by the company they keep: what families learn whose `fit` makes a table of vectors (word2vec, glove).

There are no batches and no loss: the whole corpus is learned from in one go, and a table foretells nothing by itself,
so that it is judged by word pairs and analogies (`lexloom evaluate`), not on the validation part.
"""

from typing import NoReturn

from lexloom.data.masking import MaskingSettings
from lexloom.objectives.contract import Objective
from lexloom.text.tokenizers import Tokenizer


def neighbours(settings: MaskingSettings, tokenizer: Tokenizer) -> Objective:
    """A vector for each token, by the tokens around it."""
    return Objective(_by_steps, _by_steps, kind="encoder", head="none", in_one_go=True)


def _by_steps(*_: object) -> NoReturn:
    raise AssertionError("word vectors are learned in one go, see Family.fit")
