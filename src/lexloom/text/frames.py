"""What a tokenizer puts around one text or two: `[CLS] A [SEP] B [SEP]`, `<s> A </s> </s> B </s>`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tokenizers

from lexloom.base.errors import FolderError

TEXTS = 2


@dataclass(frozen=True)
class Frame:
    """A sequence's plan: (id, type) for a special token, (None, type) where the next text goes."""

    slots: tuple[tuple[int | None, int], ...]

    @property
    def special_tokens(self) -> int:
        """How many tokens it adds."""
        return sum(token is not None for token, _ in self.slots)

    def fill(self, texts: Sequence[Sequence[int]]) -> tuple[list[int], list[int], list[int]]:
        """The ids of one text or two in their places → (ids, types, where each text starts)."""
        ids: list[int] = []
        types: list[int] = []
        starts: list[int] = []
        for token, kind in self.slots:
            if token is None:
                text = texts[len(starts)]
                starts.append(len(ids))
                ids.extend(text)
                types.extend([kind] * len(text))
            else:
                ids.append(token)
                types.append(kind)
        return ids, types, starts


def frame_of(inner: tokenizers.Tokenizer, names: Mapping[str, int], *, texts: int, where: str) -> Frame:
    """The frame that tokenizer.json's own post-processor makes; where it makes none, BERT's from the named tokens.

    Raises FolderError for a tokenizer that has nothing to begin and to end a text with.
    """
    assert 1 <= texts <= TEXTS, "a frame holds one text or two"
    probe = _some_text(inner)
    encoding = inner.encode(probe, probe if texts == TEXTS else None, add_special_tokens=True)
    slots: list[tuple[int | None, int]] = []
    seen: set[int] = set()
    for token, kind, text in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
        if text is None:
            slots.append((token, kind))
        elif text not in seen:
            seen.add(text)
            slots.append((None, kind))
    if len(slots) > texts:
        return Frame(tuple(slots))
    return _plain_frame(names, texts, where)


def _some_text(inner: tokenizers.Tokenizer) -> str:
    """A text of which the tokenizer leaves something."""
    for number in range(inner.get_vocab_size()):
        token = inner.id_to_token(number)
        if token is not None and inner.encode(token, add_special_tokens=False).ids:
            return token
    raise AssertionError("a tokenizer whose own tokens are nothing to it")


def _plain_frame(names: Mapping[str, int], texts: int, where: str) -> Frame:
    first, last = names.get("cls", names.get("bos")), names.get("sep", names.get("eos"))
    if first is None or last is None:
        raise FolderError(
            "names no token to begin and none to end a text with",
            where=where,
            fix="Name cls_token and sep_token (or bos_token and eos_token) in tokenizer_config.json.",
        )
    slots: list[tuple[int | None, int]] = [(first, 0)]
    for kind in range(texts):
        slots += [(None, kind), (last, kind)]
    return Frame(tuple(slots))
