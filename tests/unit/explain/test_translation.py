"""What a writing model looked at: its own weights, gathered from tokens to words."""

import numpy as np
import pytest
import torch

from lexloom.explain.translation import SourceMaps, source_attention, source_maps
from lexloom.models.folder import load_model
from tests.understanding import tokenizer

transformers = pytest.importorskip("transformers")

SOURCE = [17, 40, 33, 21, 3]
TARGET = [25, 30, 17, 3]


def marian():
    return transformers.MarianMTModel(
        transformers.MarianConfig(
            vocab_size=tokenizer().vocab_size, d_model=32, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=48,
            decoder_ffn_dim=48, encoder_attention_heads=4, decoder_attention_heads=4, max_position_embeddings=64,
            pad_token_id=0, eos_token_id=3, decoder_start_token_id=0, forced_eos_token_id=None, init_std=0.5,
            attn_implementation="eager",
        )
    )  # fmt: skip


def t5():
    return transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=tokenizer().vocab_size, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_decoder_layers=2,
            num_heads=4, pad_token_id=0, eos_token_id=3, decoder_start_token_id=0, initializer_factor=4.0,
            attn_implementation="eager",
        )
    )  # fmt: skip


@pytest.fixture(params=[marian, t5], ids=["transformer", "t5"], scope="module")
def reference(request, tmp_path_factory):
    torch.manual_seed(0)
    model = request.param().eval()
    folder = tmp_path_factory.mktemp("folder")
    model.save_pretrained(folder)
    return model, load_model(folder).model


def test_weights_equal_those_of_transformers(reference):
    theirs, ours = reference
    with torch.no_grad():
        expected = theirs(
            input_ids=torch.tensor([SOURCE]),
            decoder_input_ids=torch.tensor([[0, *TARGET[:-1]]]),
            output_attentions=True,
        ).cross_attentions
    found = source_attention(ours, SOURCE, TARGET)
    assert found.shape == (2, 4, len(TARGET), len(SOURCE))
    np.testing.assert_allclose(found, torch.stack(expected)[:, 0], atol=1e-5)


def test_tokens_are_gathered_to_words_and_shares_stay_shares(reference):
    _, model = reference
    source, target = (tokenizer().encode_batch([text])[0] for text in ("unbelievable 北京, 😀", "Anna lives"))
    maps = source_maps(model, [*source, 3], [*target, 3], tokenizer())
    assert maps.source == ("unbelievable", "北", "京", ",", "[UNK]", "[SEP]")
    assert maps.target == ("Anna", "lives", "[SEP]")
    assert (maps.special_S, maps.special_T) == ((False,) * 5 + (True,), (False, False, True))
    np.testing.assert_allclose(maps.weights_NHTS.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(maps.mean_TS.sum(axis=-1), 1, atol=1e-5)
    tokens = source_attention(model, [*source, 3], [*target, 3])
    first = [len(tokenizer().encode_batch([word])[0]) for word in ("Anna", "unbelievable")]
    np.testing.assert_allclose(
        maps.weights_NHTS[:, :, 0, 0], tokens[:, :, : first[0], : first[1]].sum(axis=3).mean(axis=2), atol=1e-6
    )


def test_special_tokens_are_neither_words_that_look_nor_words_that_are_looked_at():
    weights = np.array([[[[0.1, 0.2, 0.7], [0.6, 0.1, 0.3]]]], np.float32)
    maps = SourceMaps(("a", "b", "</s>"), ("x", "</s>"), (False, False, True), (False, True), weights)
    assert maps.looked_at == [1, None]
    alone = SourceMaps(("</s>",), ("x",), (True,), (False,), np.ones((1, 1, 1, 1), np.float32))
    assert alone.looked_at == [None]
