"""The tokenizer inside a GGUF file's metadata becomes a tokenizer of our own."""

from collections.abc import Mapping
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers, processors

from lexloom.base.errors import DamagedError, FolderError
from lexloom.text.tokenizer_kinds import byte_level_bpe
from lexloom.text.tokenizers import Tokenizer, config_for

CONTROL, USER_DEFINED = 3, 4
NAMES = {"bos": "bos_token_id", "eos": "eos_token_id", "unk": "unknown_token_id", "pad": "padding_token_id"}

GPT4_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How llama.cpp's `llama-bpe` and `qwen2` cut text; DIGITS says how many stay together."""


def tokenizer_from_gguf(metadata: Mapping[str, Any], *, where: str) -> Tokenizer:
    """Rebuild a byte-level BPE tokenizer, special tokens and chat template included.

    Raises FolderError (another kind of tokenizer, an unknown way of cutting words) or DamagedError.
    """
    kind, cut = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", "gpt-2")
    if kind != "gpt2":
        raise FolderError(f"tokenizer {kind!r} is not supported, only byte-level BPE ('gpt2')", where=where)
    tokens, merges = _strings(metadata, "tokens", where), _strings(metadata, "merges", where)
    kinds = metadata.get("tokenizer.ggml.token_type", [])
    if len(set(tokens)) != len(tokens) or any(merge.count(" ") != 1 for merge in merges):
        raise DamagedError("has a token twice or a merge that is not a pair", where=where)
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    inner = _cut_words({token: number for number, token in enumerate(tokens)}, pairs, cut, where)
    inner.add_special_tokens(
        [AddedToken(t, normalized=False) for t, k in zip(tokens, kinds, strict=False) if k == CONTROL]
    )
    inner.add_tokens(
        [AddedToken(t, normalized=False) for t, k in zip(tokens, kinds, strict=False) if k == USER_DEFINED]
    )
    names = _named(metadata, tokens, where)
    if metadata.get("tokenizer.ggml.add_bos_token", False) and "bos" in names:
        bos = names["bos"]
        inner.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, tokens.index(bos))]
        )
    config = config_for(names)
    if "tokenizer.chat_template" in metadata:
        config["chat_template"] = metadata["tokenizer.chat_template"]
    return Tokenizer(inner.to_str().encode(), config, where=where)


def _cut_words(vocab: dict[str, int], merges: list[tuple[str, str]], cut: str, where: str) -> tokenizers.Tokenizer:
    """`cut` is llama.cpp's name for what happens to text before the merges."""
    if cut in ("gpt-2", "default", "smollm"):
        return byte_level_bpe(vocab, merges, split_digits=cut == "smollm")
    if cut not in ("llama-bpe", "qwen2"):
        raise FolderError(f"the pre-tokenizer {cut!r} is not known", where=where)
    inner = byte_level_bpe(vocab, merges, split_digits=False)
    words = Regex(GPT4_WORDS.replace("DIGITS", "{1,3}" if cut == "llama-bpe" else ""))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(words, "isolated"), byte_level])
    inner.model.ignore_merges = cut == "llama-bpe"
    if cut == "qwen2":
        inner.normalizer = normalizers.NFC()
    return inner


def _strings(metadata: Mapping[str, Any], name: str, where: str) -> list[str]:
    values = metadata.get(f"tokenizer.ggml.{name}")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise DamagedError(f"has no list of {name} for its tokenizer", where=where)
    return values


def _named(metadata: Mapping[str, Any], tokens: list[str], where: str) -> dict[str, str]:
    ids = {name: metadata.get(f"tokenizer.ggml.{key}") for name, key in NAMES.items()}
    for name, number in ids.items():
        if number is not None and not (type(number) is int and 0 <= number < len(tokens)):
            raise DamagedError(f"its {name} token {number!r} is outside of the vocabulary", where=where)
    return {name: tokens[number] for name, number in ids.items() if number is not None}
