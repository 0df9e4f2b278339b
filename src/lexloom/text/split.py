"""Train or validation, decided by the document's own content and nothing else."""

from typing import Literal

from pydantic import Field

from lexloom.base.recipe import Settings
from lexloom.text.duplicates import content_hash

Side = Literal["train", "validation"]


class SplitSettings(Settings):
    """How much is kept away from training."""

    validation_share: float = Field(default=0.05, gt=0.0, lt=1.0)
    """The share of the documents on the validation side, met on average since each document decides for itself."""
    validation_sources: tuple[str, ...] = ()
    """Files, folders or patterns that are the validation side; then all of data.sources is for training, but for what
    also stands in these, which is dropped there as a duplicate."""


def side_of(text: str, validation_share: float) -> Side:
    """The side of a document: a pure function of its text.

    Adding documents moves none of the others, exact duplicates land on the same side, and a larger share only ever
    moves documents from train to validation.
    """
    return side_of_hash(content_hash(text), validation_share)


def side_of_hash(digest: bytes, validation_share: float) -> Side:
    """As `side_of`, from the `content_hash`."""
    # The tail of the digest: near-equal heads would be as good, but the head may be used to group documents.
    return "validation" if int.from_bytes(digest[8:], "big") < validation_share * 2**64 else "train"
