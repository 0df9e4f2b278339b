"""One document's way from raw to clean, for a worker process: what depends on the document alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lexloom.base.ledger import Ledger
from lexloom.text.cleaning import CleanSettings, clean
from lexloom.text.decontamination import Contaminants
from lexloom.text.duplicates import NO_SIGNATURES, DuplicatesSettings, Signatures, content_hash, signatures
from lexloom.text.filters import FilterSettings, keep
from lexloom.text.reading import Document
from lexloom.text.redaction import RedactSettings, redact

CHUNK_CHARACTERS = 250_000
CHUNK_DOCUMENTS = 2_000


@dataclass(frozen=True)
class Chunk:
    """Cleaned documents with what the decisions about the whole corpus need.

    `hashes` are content hashes, `signatures` rows for near-duplicates (none if those are kept), `contaminated_by` the
    evaluation file that a document overlaps with. `ledger` holds what happened to the documents of this chunk.
    """

    documents: list[Document]
    hashes: list[bytes]
    signatures: Signatures
    contaminated_by: list[str | None]
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(frozen=True)
class Cleaner:
    """Documents → Chunk; picklable, so that processes can share the work."""

    clean: CleanSettings
    filter: FilterSettings
    redact: RedactSettings
    duplicates: DuplicatesSettings
    contaminants: Contaminants

    def __call__(self, documents: Sequence[Document]) -> Chunk:
        ledger = Ledger()
        kept = [document for document in (self._one(one, ledger) for one in documents) if document is not None]
        texts = [document.text for document in kept]
        return Chunk(
            documents=kept,
            hashes=[content_hash(text) for text in texts],
            signatures=signatures(texts, self.duplicates.near_ngram) if self.duplicates.near else NO_SIGNATURES,
            contaminated_by=self.contaminants.sources_of(texts),
            ledger=ledger,
        )

    def _one(self, document: Document, ledger: Ledger) -> Document | None:
        text = clean(document.text, document.where, self.clean, ledger)
        kept = keep(text, document.where, self.filter, ledger)
        return None if kept is None else Document(redact(kept, document.where, self.redact, ledger), document.where)


def in_chunks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Pieces of work of about equal size; they depend on the documents alone, never on the number of workers."""
    chunk: list[Document] = []
    characters = 0
    for document in documents:
        chunk.append(document)
        characters += len(document.text)
        if characters >= CHUNK_CHARACTERS or len(chunk) >= CHUNK_DOCUMENTS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
