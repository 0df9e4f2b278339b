"""What a tokenizer.json must fulfil before it is used: no contradiction may wait until a model has trained on it."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

from lexloom.base.errors import DamagedError, FolderError

MAX_FILE_BYTES = 200_000_000
MODELS = ("BPE", "WordPiece", "WordLevel", "Unigram")
SHOWN = 3


def check_tokenizer_file(data: bytes, *, where: str) -> None:
    """Raise FolderError, naming the first fault: too large, unknown model, a token or an id twice, a hole in the ids,
    merges from or to unknown pieces, an added token outside of the vocabulary or under another id.
    """
    if len(data) > MAX_FILE_BYTES:
        _refuse(f"has {len(data):,} bytes; more than {MAX_FILE_BYTES:,} is not a tokenizer", where)
    content = _parse(data, where)
    model = content.get("model")
    if not isinstance(model, dict) or model.get("type", _old_type(model)) not in MODELS:
        _refuse(f"its model is none of {', '.join(MODELS)}", where)
    vocab = _vocab(model, where)
    _check_ids(vocab, _added(content, where), where)
    if "merges" in model:
        _check_merges(model["merges"], vocab, model.get("continuing_subword_prefix") or "", where)


def check_vocabulary(vocab: Any, merges: Any, *, where: str) -> None:
    """The same for a vocabulary and merges that come in files of their own."""
    if not isinstance(vocab, dict):
        _refuse("its vocabulary is not a table", where)
    checked = _vocab({"vocab": vocab}, where)
    _check_ids(checked, {}, where)
    _check_merges(merges, checked, "", where)


def _parse(data: bytes, where: str) -> dict[str, Any]:
    try:
        content = json.loads(data, object_pairs_hook=lambda pairs: _unique(pairs, where))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DamagedError(f"is not JSON: {error}", where=where) from None
    if not isinstance(content, dict):
        _refuse("is not a JSON object", where)
    return content


def _unique(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
        _refuse(f"has {_some(twice)} twice", where)
    return result


def _old_type(model: dict[str, Any]) -> str:
    """Files of before 2021 don't name the type of the model."""
    return "BPE" if "merges" in model else "WordPiece" if "max_input_chars_per_word" in model else "unknown"


def _vocab(model: dict[str, Any], where: str) -> dict[str, int]:
    vocab = model.get("vocab")
    if isinstance(vocab, list) and all(isinstance(entry, list) and len(entry) == 2 for entry in vocab):
        pieces = [entry[0] for entry in vocab]
        twice = [piece for piece, count in Counter(map(str, pieces)).items() if count > 1]
        if twice:
            _refuse(f"has the pieces {_some(twice)} twice", where)
        vocab = {piece: number for number, piece in enumerate(pieces)}
    if not isinstance(vocab, dict) or not all(type(number) is int for number in vocab.values()):
        _refuse("its vocabulary is not a table of tokens and whole numbers", where)
    return vocab


def _added(content: dict[str, Any], where: str) -> dict[str, int]:
    added: dict[str, int] = {}
    for token in content.get("added_tokens") or []:
        if not isinstance(token, dict) or not isinstance(token.get("content"), str) or type(token.get("id")) is not int:
            _refuse(f"has an added token without content and id: {token!r:.80}", where)
        if token["content"] in added:
            _refuse(f"adds the token {token['content']!r} twice", where)
        added[token["content"]] = token["id"]
    return added


def _check_ids(vocab: dict[str, int], added: dict[str, int], where: str) -> None:
    for token, number in added.items():
        if vocab.get(token, number) != number:
            _refuse(f"adds the token {token!r} as {number}, but the vocabulary has it as {vocab[token]}", where)
    together = {**vocab, **added}
    if not together:
        _refuse("its vocabulary is empty", where)
    by_id: dict[int, str] = {}
    for token, number in together.items():
        if number in by_id:
            _refuse(f"gives the id {number} to both {by_id[number]!r} and {token!r}", where)
        by_id[number] = token
    outside = [token for token, number in together.items() if not 0 <= number < len(together)]
    if outside:
        holes = [str(number) for number in range(len(together)) if number not in by_id]
        _refuse(f"has ids outside of 0…{len(together) - 1} ({_some(outside)}) and holes at {_some(holes)}", where)


def _check_merges(merges: Any, vocab: dict[str, int], prefix: str, where: str) -> None:
    if not isinstance(merges, list):
        _refuse("its merges are not a list", where)
    for number, merge in enumerate(merges):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(piece, str) for piece in pair):
            _refuse(f"merge {number} is not a pair: {merge!r:.80}", where)
        left, right = pair
        unknown = [piece for piece in (left, right, left + right.removeprefix(prefix)) if piece not in vocab]
        if unknown:
            _refuse(f"merge {number} ({left} {right}) uses {_some(unknown)}, which the vocabulary lacks", where)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more


def _refuse(what: str, where: str) -> NoReturn:
    raise FolderError(what, where=where, fix="Take the tokenizer from its source again.")
