"""The kinds of tokenizers: how each is put together and trained, in terms of the `tokenizers` library.

Training is deterministic: the same texts give the same bytes, in any process and with any number of threads.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import tokenizers
from pydantic import Field
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from lexloom.base.errors import RecipeError
from lexloom.base.recipe import Settings
from lexloom.text import samples, unigram, whole_words, word_bytes, wordpiece
from lexloom.text.sentinels import T5_SENTINELS

BYTES = 256
CHAT_TOKENS = ("<|im_start|>", "<|im_end|>")

# What the named tokens are called, per kind; the first three kinds follow GPT-2, BERT and T5.
SPECIAL_TOKENS: dict[str, dict[str, str]] = {
    "bpe": {"bos": "<|endoftext|>", "eos": "<|endoftext|>", "pad": "<|pad|>"},
    "wordpiece": {
        "pad": "[PAD]",
        "unk": "[UNK]",
        "bos": "[CLS]",
        "eos": "[SEP]",
        "cls": "[CLS]",
        "sep": "[SEP]",
        "mask": "[MASK]",
    },
    "unigram": {"pad": "<pad>", "eos": "</s>", "unk": "<unk>", "bos": "<s>"},
    "characters": {"bos": "<|endoftext|>", "eos": "<|endoftext|>", "pad": "<|pad|>", "unk": "<|unk|>"},
    "words": {"bos": "<|endoftext|>", "eos": "<|endoftext|>", "pad": "<|pad|>", "unk": "<|unk|>"},
    "word-bytes": word_bytes.NAMES,
}


class TokenizerSettings(Settings):
    """How text becomes tokens."""

    kind: Literal["bpe", "wordpiece", "unigram", "characters", "words", "word-bytes"] = "bpe"
    """`bpe` (bytes, as GPT-2), `wordpiece` (as BERT), `unigram` (as T5, with bytes for the rest), `characters`,
    `words`: whole words, Chinese ones by jieba's dictionary; what isn't among the frequent ones is lost (`<|unk|>`);
    `word-bytes`: words as their bytes, which ELMo reads, and the frequent words, which it foretells."""
    vocab_size: int = Field(default=8192, ge=16, le=4_000_000)
    """The largest number of tokens, special ones included; a small corpus may give fewer."""
    file: str | None = None
    """An existing tokenizer (a folder, `tokenizer.json`, `vocab.txt`, `vocab.json` or `.model`) instead of training."""
    lowercase: bool = False
    """Fold case (wordpiece and words only); wordpiece strips accents as well, as BERT's uncased models do."""
    special_tokens: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Further control tokens, beside those of the kind and `<|im_start|>`, `<|im_end|>` for chat."""
    sentinels: int | None = Field(default=None, ge=0, le=10_000)
    """How many tokens `<extra_id_0>` … stand for spans that the objective "denoise" cuts out; they count among
    `vocab_size`, or are added to the tokenizer in `file`. Unset: 100 for `unigram`, as T5; none for other kinds."""
    train_bytes: int = Field(default=10_000_000, ge=1_000_000)
    """Training reads at most so many bytes of UTF-8, drawn evenly over the corpus; it bounds memory and time."""

    @property
    def sentinels_wanted(self) -> int:
        """How many sentinels a trained tokenizer gets."""
        return (T5_SENTINELS if self.kind == "unigram" else 0) if self.sentinels is None else self.sentinels

    @property
    def room(self) -> int:
        """Tokens of a trained tokenizer besides its sentinels."""
        return self.vocab_size - self.sentinels_wanted


def byte_level_bpe(vocab: dict[str, int], merges: list[tuple[str, str]], *, split_digits: bool) -> tokenizers.Tokenizer:
    """GPT-2's tokenizer around a vocabulary; SmolLM2 also takes digits one by one."""
    inner = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges))
    inner.pre_tokenizer = _GPT2_WORDS
    if split_digits:
        inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _GPT2_WORDS])
    inner.decoder = decoders.ByteLevel()
    return inner


def bert_wordpiece(vocab: dict[str, int], *, lowercase: bool) -> tokenizers.Tokenizer:
    """BERT's tokenizer around a vocabulary that holds its five special tokens; Chinese characters stand alone."""
    inner = tokenizers.Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    inner.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    no_space = decoders.Replace(Regex(_BETWEEN_CHINESE), "")
    inner.decoder = decoders.Sequence([decoders.WordPiece(), decoders.Fuse(), no_space])
    inner.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    return inner


# BERT's decoder puts a space before every word, and so before every Chinese character: the spaces that Chinese doesn't
# write are taken out again, those beside its punctuation too.
_MARKS = r"\x{3000}-\x{303F}\x{FF00}-\x{FFEF}"
_BETWEEN_CHINESE = rf"(?<=\p{{Han}}) (?=\p{{Han}})| (?=[{_MARKS}])|(?<=[{_MARKS}]) "

_GPT2_WORDS = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)

# GPT-2's pattern makes one "word" of a Chinese clause, or of a page without spaces. While training, such runs are cut,
# so that words repeat and memory stays bounded; encoding keeps the pattern of GPT-2 to the letter.
_BOUNDED_RUNS = pre_tokenizers.Split(Regex(rf" ?\p{{Han}}{{1,{samples.HAN_RUN}}}|\S{{{samples.WORD_RUN}}}"), "isolated")


def _train_bpe(sample: list[str], settings: TokenizerSettings, special: list[str]) -> tokenizers.Tokenizer:
    """Byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019)."""
    _need(settings, BYTES + len(special), "the 256 bytes and the special tokens")
    inner = byte_level_bpe({}, [], split_digits=False)
    inner.pre_tokenizer = pre_tokenizers.Sequence([_BOUNDED_RUNS, _GPT2_WORDS])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        sample,
        trainers.BpeTrainer(
            vocab_size=settings.room, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    inner.pre_tokenizer = _GPT2_WORDS
    return inner


def _train_wordpiece(sample: list[str], settings: TokenizerSettings, special: list[str]) -> tokenizers.Tokenizer:
    """WordPiece as BERT uses it (Schuster and Nakajima 2012; Devlin et al. 2018)."""
    _need(settings, len(special) + 2, "the special tokens and an alphabet")
    normalizer = normalizers.BertNormalizer(lowercase=settings.lowercase)
    vocab = wordpiece.train_wordpiece(map(normalizer.normalize_str, sample), settings.room, special)
    inner = bert_wordpiece({token: number for number, token in enumerate(vocab)}, lowercase=settings.lowercase)
    inner.add_special_tokens(special)
    return inner


def _train_unigram(sample: list[str], settings: TokenizerSettings, special: list[str]) -> tokenizers.Tokenizer:
    """Unigram language model over SentencePiece's `▁` (Kudo 2018), with bytes for unknown characters.

    Lossless but for `▁` itself: no normalisation, no space put in front. `<` stands alone, so that a text can't spell a
    special token or a byte piece such as `<0x41>`; so does the line break.
    """
    fixed = [*special, *(f"<0x{byte:02X}>" for byte in range(BYTES))]
    _need(settings, len(fixed) + 2, "the 256 bytes and the special tokens")
    pieces = unigram.train_unigram(sample, settings.room - len(fixed))
    vocab = [*((token, 0.0) for token in fixed), *pieces]
    unk = special.index(SPECIAL_TOKENS["unigram"]["unk"])
    inner = tokenizers.Tokenizer(models.Unigram(vocab, unk_id=unk, byte_fallback=True))
    spaces = pre_tokenizers.Metaspace(replacement=unigram.SPACE, prepend_scheme="never")
    alone = pre_tokenizers.Split(Regex(r"[<\n]"), "isolated")
    inner.pre_tokenizer = pre_tokenizers.Sequence([spaces, alone])
    inner.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(replacement=unigram.SPACE, prepend_scheme="never")]
    )
    inner.add_special_tokens(special)
    return inner


def _train_characters(sample: list[str], settings: TokenizerSettings, special: list[str]) -> tokenizers.Tokenizer:
    """Every character a token, the most frequent first in line for a place; the rest is `<|unk|>`."""
    room = settings.room - len(special)
    _need(settings, len(special) + 1, "the special tokens and an alphabet")
    alphabet = sorted(samples.most_common(samples.count_characters(sample), room))
    vocab = {token: number for number, token in enumerate([*special, *alphabet])}
    unk = SPECIAL_TOKENS["characters"]["unk"]
    # Byte-pair encoding without merges is the library's fastest way to take characters one by one.
    inner = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token=unk, fuse_unk=False))
    inner.decoder = decoders.Fuse()
    inner.add_special_tokens(special)
    return inner


def _train_words(sample: list[str], settings: TokenizerSettings, special: list[str]) -> tokenizers.Tokenizer:
    """Every word a token, the most frequent first in line for a place; the rest, and all white space, is lost."""
    _need(settings, len(special) + 1, "the special tokens and a word")
    counts = whole_words.count_words(sample, lowercase=settings.lowercase)
    unk = special.index(SPECIAL_TOKENS["words"]["unk"])
    inner = whole_words.word_tokenizer(counts, settings.room, special, unk_id=unk, lowercase=settings.lowercase)
    inner.add_special_tokens(special)
    return inner


def _train_word_bytes(sample: list[str], settings: TokenizerSettings, special: list[str]) -> tokenizers.Tokenizer:
    """Bytes, a mark before every word, and the most frequent words, which texts are not encoded to."""
    fixed = word_bytes.word_bytes(special, marks_apart=True)
    _need(settings, fixed.get_vocab_size() + 1, "the 256 bytes, the special tokens and a word")
    words = samples.most_common(word_bytes.count_words(sample, fixed), settings.room - fixed.get_vocab_size())
    return word_bytes.word_bytes(special, words, marks_apart=True)


def _need(settings: TokenizerSettings, least: int, what: str) -> None:
    if settings.room < least:
        sentinels = settings.sentinels_wanted
        least, what = least + sentinels, f"{what}, and {sentinels} sentinels" if sentinels else what
        raise RecipeError(
            f"a vocabulary of {settings.vocab_size} can't hold {what}, which are {least}",
            where="tokenizer.vocab_size",
            fix=f"Set it to {least} or more; 8192 is usual for small corpora.",
        )


KINDS: dict[str, Callable[[list[str], TokenizerSettings, list[str]], tokenizers.Tokenizer]] = {
    "bpe": _train_bpe,
    "wordpiece": _train_wordpiece,
    "unigram": _train_unigram,
    "characters": _train_characters,
    "words": _train_words,
    "word-bytes": _train_word_bytes,
}
