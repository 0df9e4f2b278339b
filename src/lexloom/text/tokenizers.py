"""Tokenizers: text to ids and back, over the `tokenizers` library.

A tokenizer is two files, as in Hugging Face folders: `tokenizer.json` (all of its behaviour) and
`tokenizer_config.json` (which token means what). Text that spells a control token is encoded as ordinary text: only
code that asks for `tokenizer.id("<|im_end|>")` gets the control token.
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, processors

from lexloom.base import files
from lexloom.base.errors import DataError, FolderError
from lexloom.text import samples, whole_words, word_bytes
from lexloom.text.frames import Frame, frame_of
from lexloom.text.sentinels import add_sentinels, sentinel_ids
from lexloom.text.tokenizer_file import check_tokenizer_file
from lexloom.text.tokenizer_kinds import CHAT_TOKENS, KINDS, SPECIAL_TOKENS, TokenizerSettings

__all__ = [
    "CHAT_TOKENS",
    "CONFIG_FILE",
    "KINDS",
    "SPECIAL_TOKENS",
    "TEMPLATE_FILE",
    "TOKENIZER_FILE",
    "Tokenizer",
    "TokenizerSettings",
    "config_for",
    "ending_texts",
    "load_tokenizer",
    "train_tokenizer",
    "with_sentinels",
    "write_tokenizer",
]

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
TEMPLATE_FILE = "chat_template.jinja"
NAMES = ("bos", "eos", "pad", "unk", "cls", "sep", "mask")


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
        self._where = where
        self.config = config
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.names = _named_tokens(self._inner, config, where)
        self.vocab_size: int = self._inner.get_vocab_size()
        self.bos_id, self.eos_id, self.pad_id, self.unk_id = (self.names.get(name) for name in NAMES[:4])
        added = self._inner.get_added_tokens_decoder()
        special = {number for number, token in added.items() if token.special}
        self.special_ids = frozenset(special.union(self.names.values()))
        content = json.loads(data)
        self._ends_words_at_spaces = _ends_words_at_spaces(content)
        self._spelled_out = self._find_reachable_special_tokens()
        self._encode_plain = None if self._spelled_out else whole_words.plain_encoder(content)
        self._frames: dict[int, Frame] = {}

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
        return encoding.ids, [_first_visible(text, start, end) for start, end in _apart(encoding.offsets)]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """The ids of many texts, as `encode_batch` gives them, and the characters (start, end) that each stands for.

        White space at the ends of a token is left out of its characters, so that they may be none.
        """
        cut = [samples.slices(text) if self._ends_words_at_spaces else [text] for text in texts]
        parts = self._encode_slices_with_offsets(itertools.chain(*cut))
        return [_joined(slices, itertools.islice(parts, len(slices))) for slices in cut]

    def frame(self, texts: int) -> Frame:
        """The special tokens around one text or two, as tokenizer.json's post-processor puts them."""
        if texts not in self._frames:
            self._frames[texts] = frame_of(self._inner, self.names, texts=texts, where=self._where)
        return self._frames[texts]

    @property
    def separator_id(self) -> int | None:
        """What ends every document of a corpus: eos, or sep where an encoder's tokenizer names no eos."""
        return self.names.get("sep") if self.eos_id is None else self.eos_id

    @cached_property
    def spells_words(self) -> bool:
        """Whether it is of the kind "word-bytes" (text/word_bytes.py), whose ids are bytes and marks before words."""
        ends = (word_bytes.BEGIN_TEXT_ID, word_bytes.END_TEXT_ID)
        return (self.bos_id, self.eos_id) == ends and self.token(word_bytes.MARK_ID) == word_bytes.MARK

    @cached_property
    def sentinel_ids(self) -> list[int]:
        """The ids of the sentinels 0, 1, 2 … (text/sentinels.py); empty if there are none."""
        return sentinel_ids(self._inner)

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

    @cached_property
    def decoder_json(self) -> dict[str, Any]:
        """How tokens are joined to text, as in tokenizer.json (empty if it doesn't say)."""
        return json.loads(self._data).get("decoder") or {}

    def _encode_slices(self, parts: Iterable[str]) -> Iterator[list[int]]:
        for batch in samples.in_batches(parts):
            known = [None if self._encode_plain is None else self._encode_plain(part) for part in batch]
            others = [part for part, ids in zip(batch, known, strict=True) if ids is None]
            try:
                encodings = iter(self._inner.encode_batch_fast(others, add_special_tokens=False))
            except TypeError:
                raise _not_unicode(others) from None
            yield from (self._without_special(next(encodings).ids) if ids is None else ids for ids in known)

    def _encode_slices_with_offsets(self, parts: Iterable[str]) -> Iterator[tuple[list[int], list[tuple[int, int]]]]:
        for batch in samples.in_batches(parts):
            try:
                encodings = self._inner.encode_batch(batch, add_special_tokens=False)
            except TypeError:
                raise _not_unicode(batch) from None
            yield from (self._located_without_special(encoding.ids, encoding.offsets) for encoding in encodings)

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

    def _located_without_special(
        self, ids: list[int], offsets: list[tuple[int, int]]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        if self._spelled_out.keys().isdisjoint(ids):
            return ids, offsets
        pieces = [self._spelled_out.get(number, [number]) for number in ids]
        repeated = [[span] * len(spelled) for span, spelled in zip(offsets, pieces, strict=True)]
        return list(itertools.chain(*pieces)), list(itertools.chain(*repeated))


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer.json and tokenizer_config.json from a model or prepared folder.

    A chat template in a file of its own takes the place of the one in tokenizer_config.json, as in transformers.
    Raises FolderError if they are absent or contradict themselves or each other.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise FolderError(f"has no {TOKENIZER_FILE}", where=str(folder), fix="Name a folder that holds a tokenizer.")
    config = files.read_json(folder / CONFIG_FILE) if (folder / CONFIG_FILE).exists() else {}
    if not isinstance(config, dict):
        raise FolderError("is not a JSON object", where=str(folder / CONFIG_FILE))
    if (folder / TEMPLATE_FILE).is_file():
        config = {**config, "chat_template": (folder / TEMPLATE_FILE).read_text(encoding="utf-8")}
    return Tokenizer(path.read_bytes(), config, where=str(path))


def write_tokenizer(folder: files.NewFolder, tokenizer: Tokenizer, **settings: Any) -> None:
    """Write both files into a folder under construction; `settings` go into tokenizer_config.json."""
    folder.write(TOKENIZER_FILE, tokenizer.to_bytes())
    folder.write_json(CONFIG_FILE, {**tokenizer.config, **settings})


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
    add_sentinels(inner, settings.sentinels_wanted)
    return Tokenizer(inner.to_str(pretty=True).encode(), config_for(names))


def with_sentinels(tokenizer: Tokenizer, count: int) -> Tokenizer:
    """The tokenizer with `count` sentinels at least; those that it lacks come behind its vocabulary."""
    inner = tokenizers.Tokenizer.from_str(tokenizer.to_bytes().decode())
    add_sentinels(inner, count)
    return Tokenizer(inner.to_str(pretty=True).encode(), tokenizer.config)


def ending_texts(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer that puts its end-of-text token behind every text, as other libraries' encoder-decoders want it.

    One that puts something around texts already is left as it is, and so is one without such a token.
    """
    inner = tokenizers.Tokenizer.from_str(tokenizer.to_bytes().decode())
    if tokenizer.eos_id is None or inner.num_special_tokens_to_add(is_pair=False):
        return tokenizer
    end = str(tokenizer.token(tokenizer.eos_id))
    inner.post_processor = processors.TemplateProcessing(
        single=["$A", end], pair=["$A", end, "$B", end], special_tokens=[(end, tokenizer.eos_id)]
    )
    return Tokenizer(inner.to_str(pretty=True).encode(), tokenizer.config)


def config_for(names: dict[str, str]) -> dict[str, Any]:
    """The tokenizer_config.json that names special tokens, `{"eos": "</s>"}`, as transformers reads it."""
    tokens = {f"{name}_token": names[name] for name in NAMES if name in names}
    return {"tokenizer_class": "PreTrainedTokenizerFast", **tokens, "clean_up_tokenization_spaces": False}


def _first_visible(text: str, start: int, end: int) -> int:
    token = text[start:end]
    return start + len(token) - len(token.lstrip()) if token.strip() else start


def _joined(
    slices: Sequence[str], encoded: Iterable[tuple[list[int], list[tuple[int, int]]]]
) -> tuple[list[int], list[tuple[int, int]]]:
    """One text's tokens from those of its slices, offsets counted from the text's beginning."""
    all_ids: list[int] = []
    all_offsets: list[tuple[int, int]] = []
    before = 0
    for text, (ids, offsets) in zip(slices, encoded, strict=True):
        all_ids += ids
        # Most tokens have no space at an end; slicing them all would double the time
        all_offsets += [
            _visible(text, start, end, before)
            if start < end and (text[start].isspace() or text[end - 1].isspace())
            else (before + start, before + end)
            for start, end in _apart(offsets)
        ]
        before += len(text)
    return all_ids, all_offsets


def _apart(offsets: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Offsets where no token begins in the one before it and goes on behind.

    The library holds what normalisation puts before a word to be part of the character before.
    """
    if all(start >= last for (_, last), (start, _) in itertools.pairwise(offsets)):
        return offsets
    ends = [0, *(end for _, end in offsets)]
    return [
        (last, end) if start < last < end else (start, end) for last, (start, end) in zip(ends, offsets, strict=False)
    ]


def _visible(text: str, start: int, end: int, before: int) -> tuple[int, int]:
    token = text[start:end]
    start += len(token) - len(token.lstrip())
    return before + start, before + start + len(token.strip())


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
