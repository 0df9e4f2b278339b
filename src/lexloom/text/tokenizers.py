"""Tokenizers: text to ids and back, over the `tokenizers` library.

A tokenizer is two files, as in Hugging Face folders: `tokenizer.json` (all of its behaviour) and
`tokenizer_config.json` (which token means what). Text that spells a control token is encoded as ordinary text: only
code that asks for `tokenizer.id("<|im_end|>")` gets the control token.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import tokenizers
from pydantic import Field
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from lexloom.base import files
from lexloom.base.errors import DataError, FolderError, RecipeError
from lexloom.base.recipe import Settings
from lexloom.text import samples, unigram, wordpiece
from lexloom.text.tokenizer_file import check_tokenizer_file

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
BYTES = 256
NAMES = ("bos", "eos", "pad", "unk", "cls", "sep", "mask")
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
}


class TokenizerSettings(Settings):
    """How text becomes tokens."""

    kind: Literal["bpe", "wordpiece", "unigram", "characters"] = "bpe"
    """`bpe` (bytes, as GPT-2), `wordpiece` (as BERT), `unigram` (as T5, with bytes for the rest), `characters`."""
    vocab_size: int = Field(default=8192, ge=16, le=4_000_000)
    """The largest number of tokens, special ones included; a small corpus may give fewer."""
    file: str | None = None
    """An existing tokenizer (a folder, `tokenizer.json`, `vocab.txt`, `vocab.json` or `.model`) instead of training."""
    lowercase: bool = False
    """Fold case and strip accents, as BERT's uncased models do (wordpiece only)."""
    special_tokens: tuple[str, ...] = ()
    """Further control tokens, beside those of the kind and `<|im_start|>`, `<|im_end|>` for chat."""
    train_bytes: int = Field(default=10_000_000, ge=1_000_000)
    """Training reads at most so many bytes of UTF-8, drawn evenly over the corpus; it bounds memory and time."""


class Tokenizer:
    """Text to ids and back.

    `bos_id`, `eos_id`, `pad_id`, `unk_id` are None where the tokenizer has no such token; `special_ids` are the control
    tokens, which `decode` leaves out and which no text can produce (but for `unk_id`).
    """

    def __init__(self, data: bytes, config: dict[str, Any], *, where: str = TOKENIZER_FILE) -> None:
        """`data` is a whole tokenizer.json; raises FolderError, naming the fault, if it contradicts itself."""
        check_tokenizer_file(data, where=where)
        self._data = data
        self._inner = _parse(data, where)
        self.config = config
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.names = _named_tokens(self._inner, config, where)
        self.vocab_size: int = self._inner.get_vocab_size()
        self.bos_id, self.eos_id, self.pad_id, self.unk_id = (self.names.get(name) for name in NAMES[:4])
        added = self._inner.get_added_tokens_decoder()
        special = {number for number, token in added.items() if token.special}
        self.special_ids = frozenset(special.union(self.names.values()))
        self._ends_words_at_spaces = _ends_words_at_spaces(json.loads(data))
        self._spelled_out = self._find_reachable_special_tokens()

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without any special token around them."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts, on all cores (the library's threads); the same ids as one by one.

        Time is linear: long texts go to the library in slices, cut where words end (see `samples.slices`); an endless
        word, for which the library takes more than linear time, is cut within. Raises DataError for a text that is not
        Unicode (a lone surrogate).
        """
        cut = [samples.slices(text) if self._ends_words_at_spaces else [text] for text in texts]
        ids = self._encode_slices(itertools.chain(*cut))
        return [list(itertools.chain(*itertools.islice(ids, len(parts)))) for parts in cut]

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """The ids of a text, and for each the character of the text where it begins (spaces passed over)."""
        encoding = self._inner.encode(text, add_special_tokens=False)
        return encoding.ids, [_first_visible(text, start, end) for start, end in encoding.offsets]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; control tokens are left out, and bytes that are not UTF-8 become U+FFFD."""
        return self._inner.decode(list(ids), skip_special_tokens=True)

    def id(self, token: str) -> int | None:
        """The id of a token by its exact name in the vocabulary."""
        return self._inner.token_to_id(token)

    def token(self, id: int) -> str | None:
        """The name of an id in the vocabulary: `Ġthe`, `##ing`, `▁a`; None outside of it."""
        return self._inner.id_to_token(id) if 0 <= id < self.vocab_size else None

    def to_bytes(self) -> bytes:
        """The exact bytes of tokenizer.json."""
        return self._data

    @property
    def model_type(self) -> str:
        """The library's name of the model: `BPE`, `WordPiece`, `Unigram` or `WordLevel`."""
        return type(self._inner.model).__name__

    @property
    def decoder_json(self) -> dict[str, Any]:
        """How tokens are joined to text, as in tokenizer.json (empty if it doesn't say)."""
        return json.loads(self._data).get("decoder") or {}

    def _encode_slices(self, parts: Iterable[str]) -> Iterator[list[int]]:
        for batch in samples.in_batches(parts):
            try:
                encodings = self._inner.encode_batch_fast(batch, add_special_tokens=False)
            except TypeError:
                raise _not_unicode(batch) from None
            yield from (self._without_special(encoding.ids) for encoding in encodings)

    def _find_reachable_special_tokens(self) -> dict[int, list[int]]:
        """Special tokens that the model itself makes from text (SentencePiece keeps them among its pieces)."""
        reachable = {}
        for special in sorted(self.special_ids - {self.unk_id}):
            text = str(self._inner.id_to_token(special))
            if special in self._inner.encode(text, add_special_tokens=False).ids:
                letters = [self._inner.token_to_id(letter) for letter in text]
                reachable[special] = [self.unk_id if letter is None else letter for letter in letters]
        return {special: [number for number in ids if number is not None] for special, ids in reachable.items()}

    def _without_special(self, ids: list[int]) -> list[int]:
        if self._spelled_out.keys().isdisjoint(ids):
            return ids
        return [piece for number in ids for piece in self._spelled_out.get(number, (number,))]


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer.json and tokenizer_config.json from a model or prepared folder.

    Raises FolderError if they are absent or contradict themselves or each other.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise FolderError(f"has no {TOKENIZER_FILE}", where=str(folder), fix="Name a folder that holds a tokenizer.")
    config = files.read_json(folder / CONFIG_FILE) if (folder / CONFIG_FILE).exists() else {}
    if not isinstance(config, dict):
        raise FolderError("is not a JSON object", where=str(folder / CONFIG_FILE))
    return Tokenizer(path.read_bytes(), config, where=str(path))


def write_tokenizer(folder: files.NewFolder, tokenizer: Tokenizer) -> None:
    """Write both files into a folder under construction."""
    folder.write(TOKENIZER_FILE, tokenizer.to_bytes())
    folder.write_json(CONFIG_FILE, tokenizer.config)


def train_tokenizer(texts: Iterator[str], settings: TokenizerSettings) -> Tokenizer:
    """Learn a tokenizer; the same texts give the same bytes.

    Of a corpus larger than `train_bytes` an even, deterministic sample is used, see `samples.sample_evenly`.
    Raises RecipeError if the vocabulary can't hold the special tokens and the alphabet.
    """
    sample = samples.sample_evenly(texts, settings.train_bytes)
    if not any(sample):
        raise DataError("there is no text to train a tokenizer on", fix="Give at least one document that is not empty.")
    names = SPECIAL_TOKENS[settings.kind]
    chat = () if settings.kind == "wordpiece" else CHAT_TOKENS
    special = list(dict.fromkeys((*names.values(), *chat, *settings.special_tokens)))
    inner = KINDS[settings.kind](sample, settings, special)
    return Tokenizer(inner.to_str(pretty=True).encode(), config_for(names))


def config_for(names: dict[str, str]) -> dict[str, Any]:
    """The tokenizer_config.json that names special tokens, `{"eos": "</s>"}`, as transformers reads it."""
    tokens = {f"{name}_token": names[name] for name in NAMES if name in names}
    return {"tokenizer_class": "PreTrainedTokenizerFast", **tokens, "clean_up_tokenization_spaces": False}


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
            vocab_size=settings.vocab_size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    inner.pre_tokenizer = _GPT2_WORDS
    return inner


def _train_wordpiece(sample: list[str], settings: TokenizerSettings, special: list[str]) -> tokenizers.Tokenizer:
    """WordPiece as BERT uses it (Schuster and Nakajima 2012; Devlin et al. 2018)."""
    _need(settings, len(special) + 2, "the special tokens and an alphabet")
    normalizer = normalizers.BertNormalizer(lowercase=settings.lowercase)
    vocab = wordpiece.train_wordpiece(map(normalizer.normalize_str, sample), settings.vocab_size, special)
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
    pieces = unigram.train_unigram(sample, settings.vocab_size - len(fixed))
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
    room = settings.vocab_size - len(special)
    _need(settings, len(special) + 1, "the special tokens and an alphabet")
    alphabet = sorted(samples.most_common(samples.count_characters(sample), room))
    vocab = {token: number for number, token in enumerate([*special, *alphabet])}
    unk = SPECIAL_TOKENS["characters"]["unk"]
    # Byte-pair encoding without merges is the library's fastest way to take characters one by one.
    inner = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token=unk, fuse_unk=False))
    inner.decoder = decoders.Fuse()
    inner.add_special_tokens(special)
    return inner


KINDS: dict[str, Callable[[list[str], TokenizerSettings, list[str]], tokenizers.Tokenizer]] = {
    "bpe": _train_bpe,
    "wordpiece": _train_wordpiece,
    "unigram": _train_unigram,
    "characters": _train_characters,
}


def _need(settings: TokenizerSettings, least: int, what: str) -> None:
    if settings.vocab_size < least:
        raise RecipeError(
            f"a vocabulary of {settings.vocab_size} can't hold {what}, which are {least}",
            where="tokenizer.vocab_size",
            fix=f"Set it to {least} or more; 8192 is usual for small corpora.",
        )


def _first_visible(text: str, start: int, end: int) -> int:
    token = text[start:end]
    return start + len(token) - len(token.lstrip()) if token.strip() else start


def _parse(data: bytes, where: str) -> tokenizers.Tokenizer:
    try:
        inner = tokenizers.Tokenizer.from_str(data.decode())
    except Exception as error:  # the library raises bare Exception
        raise FolderError(f"the tokenizers library refuses it: {error}", where=where) from None
    inner.no_truncation()
    inner.no_padding()
    inner.encode_special_tokens = True
    return inner


def _named_tokens(inner: tokenizers.Tokenizer, config: dict[str, Any], where: str) -> dict[str, int]:
    """The ids of bos, eos, …; a token that the config calls special becomes special, as in transformers."""
    names = {}
    for name in NAMES:
        token = config.get(f"{name}_token")
        token = token.get("content") if isinstance(token, dict) else token
        if token is None:
            continue
        number = inner.token_to_id(token) if isinstance(token, str) else None
        if number is None:
            raise FolderError(f"{CONFIG_FILE} names {name}_token {token!r}, which the vocabulary lacks", where=where)
        names[name] = number
        inner.add_special_tokens([AddedToken(token, normalized=False, special=True)])
    return names


def _ends_words_at_spaces(content: dict[str, Any]) -> bool:
    """Whether a cut before a space can't change the ids; not so for SentencePiece's BPE, which knows no words."""
    steps = content.get("pre_tokenizer") or {}
    parts = steps.get("pretokenizers", [steps])
    kinds = {part.get("type") for part in parts if part.get("use_regex", True)}
    alone = not content["model"].get("merges", True)
    return alone or not kinds.isdisjoint({"ByteLevel", "Split", "Metaspace", "BertPreTokenizer", "WhitespaceSplit"})


def _not_unicode(texts: Sequence[str]) -> Exception:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return DataError(f"character {error.start + 1} of a text is a lone surrogate, which is not Unicode")
    return AssertionError("the library refused texts that are Unicode")
