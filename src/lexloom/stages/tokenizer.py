"""`lexloom tokenizer FOLDER TEXT...`: how well a tokenizer suits a text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lexloom.base.console import aligned
from lexloom.base.ledger import Ledger
from lexloom.text.quality import measure
from lexloom.text.readers import DataSettings, read_documents
from lexloom.text.tokenizers import load_tokenizer


def tokenizer(folder: Path, texts: Sequence[str]) -> dict[str, Any]:
    """Fertility, compression and unknown tokens on `texts`, in all and by script.

    Raises FolderError for a folder without a tokenizer, DataError for texts that can't be read.
    """
    settings = DataSettings(sources=tuple(texts), documents="file")
    documents = read_documents(texts, ledger=Ledger(), settings=settings)
    return measure(load_tokenizer(folder), (document.text for document in documents)).to_json()


def describe(quality: dict[str, Any]) -> str:
    """The measurement for people."""
    scripts = [
        [name, f"{script['characters']:,}", f"{script['tokens_per_character']:.2f}", f"{script['unknown']:,}"]
        for name, script in quality["scripts"].items()
        if script["characters"]
    ]
    return "\n".join(
        [
            f"{quality['tokens']:,} tokens for {quality['words']:,} words: {quality['fertility']:.2f} tokens per word, "
            f"{quality['bytes_per_token']:.2f} bytes per token",
            f"{quality['unknown']:,} unknown ({quality['unknown_share']:.2%}); {quality['used_tokens']:,} of "
            f"{quality['vocab_size']:,} entries used; {quality['lossless_documents']:,} of {quality['documents']:,} "
            "documents come back unchanged",
            "",
            aligned([["script", "characters", "tokens per character", "unknown"], *scripts], right=(1, 2, 3)),
        ]
    )
