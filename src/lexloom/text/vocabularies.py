"""Reading tokenizers that others have made, from the files in which they are published."""

import json
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from lexloom.base.errors import DamagedError, FolderError
from lexloom.text.tokenizer_file import check_vocabulary
from lexloom.text.tokenizer_kinds import SPECIAL_TOKENS, bert_wordpiece, byte_level_bpe
from lexloom.text.tokenizers import Tokenizer, config_for, load_tokenizer
from lexloom.text.unigram import SPACE

MAX_FILE_BYTES = 200_000_000

# What special tokens are called in a tokenizer.json that came without tokenizer_config.json.
USUAL_NAMES = {
    "bos": ("<|begin_of_text|>", "<|endoftext|>", "<s>", "<bos>", "[CLS]"),
    "eos": ("<|end_of_text|>", "<|endoftext|>", "</s>", "<eos>", "[SEP]", "<|im_end|>"),
    "pad": ("<|pad|>", "<pad>", "[PAD]"),
    "unk": ("<unk>", "[UNK]", "<|unk|>"),
    "mask": ("[MASK]", "<mask>"),
}

# Field numbers of sentencepiece_model.proto.
PIECES, TRAINER, NORMALIZER = 1, 2, 3
PIECE_TEXT, PIECE_SCORE, PIECE_TYPE = 1, 2, 3
TRAINER_MODEL, TRAINER_BYTE_FALLBACK = 3, 35
CHARSMAP, ADD_PREFIX, REMOVE_SPACES = 2, 3, 4
NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4
UNIGRAM = 1


def read_tokenizer(path: Path, *, lowercase: bool = False) -> Tokenizer:
    """Read a tokenizer from a folder, or from a file by its form:

    `tokenizer.json`; BERT's `vocab.txt` (`lowercase` for the uncased ones, which the file doesn't say); GPT-2's
    `vocab.json` with its `merges.txt` beside it; SentencePiece's `.model` (unigram).
    Raises FolderError for anything else, DamagedError for a file that contradicts itself.
    """
    if path.is_dir():
        return load_tokenizer(path)
    if not path.is_file():
        raise FolderError("no such tokenizer", where=str(path), fix="Name a folder or a file that holds one.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise FolderError(f"is larger than {MAX_FILE_BYTES:,} bytes, which no tokenizer is", where=str(path))
    if path.suffix == ".txt":
        return _read_bert(path, lowercase=lowercase)
    if path.suffix == ".model":
        return _read_sentencepiece(path)
    if path.suffix == ".json":
        return _read_json(path)
    raise FolderError("is not a tokenizer: its name ends in none of .json, .txt, .model", where=str(path))


def _read_json(path: Path) -> Tokenizer:
    data = path.read_bytes()
    try:
        content = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DamagedError(f"is not JSON: {error}", where=str(path)) from None
    if not isinstance(content, dict):
        raise DamagedError("is not a JSON object", where=str(path))
    if "model" not in content or isinstance(content["model"], int):
        return _read_gpt2(path, content)
    added = content.get("added_tokens") or []
    special = {str(token.get("content")) for token in added if isinstance(token, dict) and token.get("special")}
    return Tokenizer(data, config_for(_usual_names(special)), where=str(path))


def _read_gpt2(path: Path, vocab: dict[str, int]) -> Tokenizer:
    merges_path = path.with_name(path.name.replace("vocab", "merges")).with_suffix(".txt")
    if merges_path == path or not merges_path.is_file():
        raise FolderError("is a vocabulary without merges", where=str(path), fix=f"Put {merges_path.name} beside it.")
    merges = []
    for number, line in enumerate(_lines(merges_path), start=1):
        pair = tuple(line.split(" "))
        if line.startswith("#version") or not line:
            continue
        if len(pair) != 2:
            raise DamagedError("is not a merge of two pieces", where=f"{merges_path}:{number}")
        merges.append((pair[0], pair[1]))
    check_vocabulary(vocab, merges, where=str(path))
    end = SPECIAL_TOKENS["bpe"]["eos"]
    inner = byte_level_bpe(vocab, merges, split_digits=False)
    return _with_special(inner, [end], {"bos": end, "eos": end}, where=str(path))


def _read_bert(path: Path, *, lowercase: bool) -> Tokenizer:
    pieces = list(_lines(path))
    names = SPECIAL_TOKENS["wordpiece"]
    missing = [token for token in dict.fromkeys(names.values()) if token not in pieces]
    if missing:
        raise FolderError(f"is not a vocabulary of BERT's form: it lacks {', '.join(missing)}", where=str(path))
    vocab = {piece: number for number, piece in enumerate(pieces)}
    if len(vocab) < len(pieces):
        twice = next(piece for number, piece in enumerate(pieces) if vocab[piece] != number)
        raise DamagedError(f"has the piece {twice!r} twice", where=f"{path}:{vocab[twice] + 1}")
    inner = bert_wordpiece(vocab, lowercase=lowercase)
    return _with_special(inner, list(dict.fromkeys(names.values())), names, where=str(path))


def _read_sentencepiece(path: Path) -> Tokenizer:
    """A unigram model of SentencePiece, normalisation included (Kudo and Richardson 2018)."""
    where = str(path)
    fields = list(_protobuf(path.read_bytes(), where))
    pieces = [dict(_protobuf(value, where)) for number, value in fields if number == PIECES]
    trainer = dict(_protobuf(next((value for number, value in fields if number == TRAINER), b""), where))
    if trainer.get(TRAINER_MODEL, UNIGRAM) != UNIGRAM:
        raise FolderError("is a SentencePiece model of another type than unigram", where=where)
    texts = [piece[PIECE_TEXT].decode() for piece in pieces]
    types = [piece.get(PIECE_TYPE, NORMAL) for piece in pieces]
    if UNKNOWN not in types:
        raise DamagedError("has no unknown piece", where=where)
    scores = [struct.unpack("<f", piece.get(PIECE_SCORE, bytes(4)))[0] for piece in pieces]
    inner = tokenizers.Tokenizer(
        models.Unigram(
            list(zip(texts, scores, strict=True)),
            unk_id=types.index(UNKNOWN),
            byte_fallback=bool(trainer.get(TRAINER_BYTE_FALLBACK, 0)),
        )
    )
    _set_sentencepiece_text(inner, dict(_protobuf(dict(fields).get(NORMALIZER, b""), where)))
    marked = {text: kind for text, kind in zip(texts, types, strict=True) if kind in (UNKNOWN, CONTROL, USER_DEFINED)}
    names = _usual_names(marked)
    special = [text for text, kind in marked.items() if kind != USER_DEFINED or text in names.values()]
    inner.add_tokens([AddedToken(text, normalized=False) for text in marked if text not in special])
    return _with_special(inner, special, names, where=where)


def _set_sentencepiece_text(inner: tokenizers.Tokenizer, settings: dict[int, Any]) -> None:
    """How SentencePiece treats text before it cuts it: its own normalisation, spaces as `▁`."""
    steps: list[normalizers.Normalizer] = []
    if settings.get(CHARSMAP):
        steps.append(normalizers.Precompiled(settings[CHARSMAP]))
    if settings.get(REMOVE_SPACES, 1):
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    inner.normalizer = normalizers.Sequence(steps)
    prepend = "always" if settings.get(ADD_PREFIX, 1) else "never"
    inner.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=prepend)
    spaces = decoders.Metaspace(replacement=SPACE, prepend_scheme=prepend)
    inner.decoder = decoders.Sequence([decoders.ByteFallback(), spaces])


def _with_special(inner: tokenizers.Tokenizer, special: list[str], names: dict[str, str], *, where: str) -> Tokenizer:
    inner.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return Tokenizer(inner.to_str(pretty=True).encode(), config_for(names), where=where)


def _usual_names(special: Collection[str]) -> dict[str, str]:
    found = {name: next((token for token in usual if token in special), None) for name, usual in USUAL_NAMES.items()}
    return {name: token for name, token in found.items() if token is not None}


def _lines(path: Path) -> list[str]:
    """Lines end in a line feed only: other breaks, such as U+2028, are pieces of some vocabularies."""
    try:
        return path.read_bytes().decode().removesuffix("\n").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise DamagedError(f"is not UTF-8: {error}", where=str(path)) from None


def _protobuf(data: bytes, where: str) -> Iterator[tuple[int, Any]]:
    """The fields of a message (protobuf's wire format): whole numbers as int, everything else as bytes."""
    place = 0
    try:
        while place < len(data):
            key, place = _varint(data, place)
            kind = key & 7
            if kind == 0:
                value, place = _varint(data, place)
                yield key >> 3, value
                continue
            size, place = _varint(data, place) if kind == 2 else ({1: 8, 5: 4}[kind], place)
            if place + size > len(data):
                raise IndexError
            yield key >> 3, data[place : place + size]
            place += size
    except (IndexError, KeyError):
        raise DamagedError("is not a SentencePiece model (or it was cut)", where=where) from None


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
