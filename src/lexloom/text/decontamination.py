"""Documents that share a long stretch with evaluation data are not for training on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import Settings
from lexloom.text.readers import DataSettings, read_documents
from lexloom.text.shingles import weighted_shingles

STAGE = "decontaminate"


class DecontaminateSettings(Settings):
    """Which evaluation files the corpus must not overlap with."""

    files: tuple[str, ...] = ()
    """Evaluation files, in any format that data.sources may have."""

    text_field: str | tuple[str, ...] = "text"
    """The field or column of these files that holds the text, several joined."""

    words: int = Field(default=13, ge=4, le=100)
    """Length of the shared stretch that counts, in words; two Chinese characters count as one word.

    13 as in GPT-3 (Brown et al. 2020, appendix C); 26 characters are about as rare in Chinese."""


@dataclass(frozen=True)
class Contaminants:
    """The hashes of all stretches of the evaluation files, sorted, and which file each is from."""

    hashes: npt.NDArray[np.uint64]
    file_of: npt.NDArray[np.int32]
    names: tuple[str, ...]
    words: int

    def sources_of(self, texts: Sequence[str]) -> list[str | None]:
        """For each text the first evaluation file that it shares a stretch with, or None."""
        found: list[str | None] = [None] * len(texts)
        if len(self.hashes) == 0:
            return found
        mine, offsets = weighted_shingles(texts, self.words)
        places = np.minimum(np.searchsorted(self.hashes, mine), len(self.hashes) - 1)
        hits = np.flatnonzero(self.hashes[places] == mine)
        owners = np.searchsorted(offsets, hits, side="right") - 1
        for text in np.unique(owners):
            found[text] = self.names[int(self.file_of[places[hits[owners == text]]].min())]
        return found


def read_contaminants(settings: DecontaminateSettings, ledger: Ledger) -> Contaminants:
    """Read the evaluation files. Texts shorter than the stretch can't be looked for, and are counted as such."""
    found: list[npt.NDArray[np.uint64]] = []
    owner: list[npt.NDArray[np.int32]] = []
    for number, name in enumerate(settings.files):
        hashes = _hashes_of(name, settings, ledger)
        found.append(hashes)
        owner.append(np.full(len(hashes), number, dtype=np.int32))
    return _sorted(found, owner, tuple(settings.files), settings.words)


def _hashes_of(name: str, settings: DecontaminateSettings, ledger: Ledger) -> npt.NDArray[np.uint64]:
    parts: list[npt.NDArray[np.uint64]] = []
    for document in read_documents([name], ledger=Ledger(), settings=DataSettings(text_field=settings.text_field)):
        hashes, _ = weighted_shingles([document.text], settings.words)
        outcome = "evaluation texts looked for" if len(hashes) else "evaluation texts too short to look for"
        ledger.count(STAGE, outcome, characters=len(document.text), where=document.where)
        parts.append(hashes)
    if not parts:
        raise DataError("holds no evaluation text", where=name, fix="Name another file in prepare.decontaminate.files.")
    return np.unique(np.concatenate(parts))


def _sorted(
    found: Sequence[npt.NDArray[np.uint64]], owner: Sequence[npt.NDArray[np.int32]], names: tuple[str, ...], words: int
) -> Contaminants:
    hashes = np.concatenate([np.zeros(0, dtype=np.uint64), *found])
    file_of = np.concatenate([np.zeros(0, dtype=np.int32), *owner])
    order = np.argsort(hashes, kind="stable")
    unique, first = np.unique(hashes[order], return_index=True)
    return Contaminants(unique, file_of[order][first], names, words)
