"""`lexloom prepare`: from raw text to a prepared folder of tokens, with a ledger of everything that happened.

    read → clean → filter → redact → drop duplicates → decontaminate → split → tokenizer → tokens

The folder is complete or absent. It holds tokenizer.json and tokenizer_config.json, train/ and validation/ (see
data/shards.py), ledger.json, settings.toml, tokenizer_quality.json, and manifest.json. The same sources and settings
give the same bytes, whatever the number of workers.
"""

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from pydantic import Field

from lexloom.base import files
from lexloom.base.console import Tick, aligned, progress
from lexloom.base.errors import DataError, FolderError
from lexloom.base.ledger import Ledger
from lexloom.base.parallel import available_cores, ordered_map
from lexloom.base.recipe import Settings, to_toml
from lexloom.data.shards import EncodedDocument, encode_documents, write_split
from lexloom.report.numbers import count
from lexloom.text.cleaning import CleanSettings
from lexloom.text.decontamination import STAGE as DECONTAMINATE
from lexloom.text.decontamination import DecontaminateSettings, read_contaminants
from lexloom.text.duplicates import DuplicatesSettings, Signatures, near_duplicates
from lexloom.text.filters import FilterSettings
from lexloom.text.pipeline import Chunk, Cleaner, in_chunks
from lexloom.text.quality import measure
from lexloom.text.readers import DataSettings, Document, read_sources
from lexloom.text.redaction import RedactSettings
from lexloom.text.sources import Source, find_sources
from lexloom.text.split import Side, SplitSettings, side_of_hash
from lexloom.text.spool import Spool
from lexloom.text.tokenizers import Tokenizer, TokenizerSettings, train_tokenizer, with_sentinels, write_tokenizer
from lexloom.text.vocabularies import read_tokenizer

STAGES = ("read", "clean", "filter", "redact", "duplicates", DECONTAMINATE, "split", "encode")
SPLITS = ("train", "validation")
KIND = "prepared"
LEDGER = "ledger.json"
SETTINGS = "settings.toml"
QUALITY = "tokenizer_quality.json"
TEXT = "text.jsonl.zst"
SPOOL = "spool.zst"
# Below this, starting processes costs more than it saves.
BYTES_WORTH_A_WORKER = 8_000_000
QUALITY_CHARACTERS = 300_000

Facts = dict[str, Any]


class PrepareSettings(Settings):
    """From raw text to tokens."""

    data: DataSettings = Field(default_factory=DataSettings)
    """Which files, and how to read them."""
    clean: CleanSettings = Field(default_factory=CleanSettings)
    """What is mended in each document."""
    filter: FilterSettings = Field(default_factory=FilterSettings)
    """Which documents are too short, too long, too poor."""
    redact: RedactSettings = Field(default_factory=RedactSettings)
    """Which personal data is masked."""
    duplicates: DuplicatesSettings = Field(default_factory=DuplicatesSettings)
    """Which repetitions are dropped."""
    decontaminate: DecontaminateSettings = Field(default_factory=DecontaminateSettings)
    """Which evaluation data must not be in the corpus."""
    split: SplitSettings = Field(default_factory=SplitSettings)
    """How much is kept for validation."""
    tokenizer: TokenizerSettings = Field(default_factory=TokenizerSettings)
    """How text becomes tokens."""
    workers: int = Field(default=0, ge=0)
    """Processes that clean; 0: one for each core, or a single one for a small corpus. It doesn't change the result."""
    keep_text: bool = False
    """Keep the cleaned text beside the tokens, as train/text.jsonl.zst and validation/text.jsonl.zst."""


def prepare(settings: PrepareSettings, out: Path, *, replace: bool = False) -> Facts:
    """Make the prepared folder `out`; returns what `--json` prints: folder, documents, tokens, vocab_size, ledger.

    Raises DataError for text that can't be read or that leaves a split empty, RecipeError for a tokenizer that can't
    be had, FolderError if `out` exists and `replace` is false; nothing is left behind then.
    """
    _check_out(out, replace=replace)
    ledger = Ledger()
    facts: Facts = {"kind": KIND}
    with (
        files.new_folder(out, facts=facts, replace=replace) as folder,
        Spool(folder.path / SPOOL) as spool,
    ):
        corpus = gather(settings, spool, ledger)
        judge(corpus, spool, settings, ledger)
        _check_splits(corpus, settings, ledger)
        tokenizer = _make_tokenizer(corpus, spool, settings.tokenizer)
        write_tokenizer(folder, tokenizer)
        indexes = [_write_split(folder, split, corpus, spool, tokenizer, settings, ledger) for split in SPLITS]
        folder.write_json(QUALITY, measure(tokenizer, _sample(corpus, spool)).to_json())
        rows = sorted(ledger.to_json(), key=lambda row: STAGES.index(row["stage"]))
        folder.write_json(LEDGER, rows)
        # The number of workers doesn't change the result, so it isn't part of it.
        folder.write(SETTINGS, to_toml(settings.model_copy(update={"workers": 0})))
        facts |= {
            "documents": {split: index["documents"] for split, index in zip(SPLITS, indexes, strict=True)},
            "tokens": {split: index["tokens"] for split, index in zip(SPLITS, indexes, strict=True)},
            "vocab_size": tokenizer.vocab_size,
            "tokenizer_sha256": tokenizer.sha256,
        }
    return {"folder": str(out), **facts, "ledger": rows}


def _check_out(out: Path, *, replace: bool) -> None:
    """Only what an earlier `prepare` made may be replaced; somebody's other folder never."""
    if replace and out.exists() and files.read_manifest(out).get("kind") != KIND:
        raise FolderError("is not a prepared folder, so it is not replaced", where=str(out), fix="Name another folder.")


def describe(facts: Facts) -> str:
    """The result of `prepare` for people: the ledger, then what there is now."""
    rows = [
        [row["stage"], row["outcome"], count(row["documents"]), count(row["characters"]), *row["examples"][:1]]
        for row in facts["ledger"]
    ]
    table = aligned(
        [["stage", "outcome", "documents", "characters", "first at"], *([*row, ""][:5] for row in rows)], right=(2, 3)
    )
    sides = "; ".join(
        f"{split} {count(facts['tokens'][split])} tokens in {count(facts['documents'][split])} documents"
        for split in SPLITS
    )
    return f"{table}\n\n{facts['folder']}: {sides}; vocabulary of {count(facts['vocab_size'])}"


DROPPED = 0  # the other sides are 1 + the place in SPLITS


@dataclass
class Corpus:
    """What is remembered of each spooled document: its side, characters, signature and evaluation overlap."""

    sides: bytearray = field(default_factory=bytearray)
    characters: "array[int]" = field(default_factory=lambda: array("q"))
    signatures: list[Signatures] = field(default_factory=list)
    contaminated: dict[int, str] = field(default_factory=dict)

    def characters_in(self, split: str) -> int:
        """The characters of a split."""
        side = SPLITS.index(split) + 1
        return sum(size for size, own in zip(self.characters, self.sides, strict=True) if own == side)

    def texts(self, spool: Iterable[Document], split: str) -> Iterator[str]:
        """The texts of a split, in order."""
        return (document.text for document in self.documents(spool, split))

    def documents(self, spool: Iterable[Document], split: str) -> Iterator[Document]:
        """The documents of a split, in order."""
        side = SPLITS.index(split) + 1
        return (document for document, own in zip(spool, self.sides, strict=True) if own == side)


def gather(settings: PrepareSettings, spool: Spool, ledger: Ledger) -> Corpus:
    """Read, clean, filter, redact, drop exact duplicates; what is left goes into the spool, each on its side."""
    # One ledger for each step, added up at the end: their order must not depend on how far reading runs ahead.
    reading, cleaning, judging = Ledger(), Ledger(), Ledger()
    contaminants = read_contaminants(settings.decontaminate, judging)
    groups = [(find_sources(names, reading), side) for names, side in _sources_and_sides(settings)]
    total = _known_bytes([source for sources, _ in groups for source in sources])
    cleaner = Cleaner(settings.clean, settings.filter, settings.redact, settings.duplicates, contaminants)
    corpus, seen = Corpus(), set[bytes]()
    with progress("cleaning", total) as tick:
        on_bytes = _adding(tick)
        for sources, side in groups:
            documents = read_sources(sources, ledger=reading, settings=settings.data, on_bytes=on_bytes)
            for chunk in ordered_map(cleaner, in_chunks(documents), _workers(settings.workers, total)):
                cleaning.add(chunk.ledger)
                _add_chunk(chunk, side, corpus, spool, seen, settings, judging)
    spool.finish()
    for part in (reading, cleaning, judging):
        ledger.add(part)
    return corpus


SideOf = Callable[[bytes], Side]
"""From a document's content hash to its side."""


def _sources_and_sides(settings: PrepareSettings) -> list[tuple[Sequence[str], SideOf]]:
    """Named validation files come first, so that of a document on both sides the one for training is the duplicate."""
    split = settings.split
    if split.validation_sources:
        return [(split.validation_sources, lambda _: "validation"), (settings.data.sources, lambda _: "train")]
    return [(settings.data.sources, lambda digest: side_of_hash(digest, split.validation_share))]


def _add_chunk(
    chunk: Chunk,
    side_of: SideOf,
    corpus: Corpus,
    spool: Spool,
    seen: set[bytes],
    settings: PrepareSettings,
    ledger: Ledger,
) -> None:
    fresh = []
    for index, (document, digest) in enumerate(zip(chunk.documents, chunk.hashes, strict=True)):
        if settings.duplicates.exact and digest in seen:
            ledger.count("duplicates", "exact", characters=len(document.text), where=document.where)
            continue
        seen.add(digest)
        fresh.append(index)
        overlap = chunk.contaminated_by[index]
        if overlap is not None:
            corpus.contaminated[len(corpus.sides)] = overlap
        corpus.sides.append(SPLITS.index(side_of(digest)) + 1)
        corpus.characters.append(len(document.text))
        spool.add(document)
    if settings.duplicates.near:
        corpus.signatures.append(chunk.signatures[fresh])


def judge(corpus: Corpus, spool: Spool, settings: PrepareSettings, ledger: Ledger) -> None:
    """Drop near-duplicates, then what overlaps with evaluation data; count what remains on each side."""
    near = np.zeros(len(corpus.sides), dtype=np.bool_)
    if settings.duplicates.near:
        near = near_duplicates(corpus.signatures, settings.duplicates.near_threshold)
        corpus.signatures.clear()
    for index, document in enumerate(spool):
        stage, outcome = "split", SPLITS[corpus.sides[index] - 1]
        if near[index]:
            stage, outcome = "duplicates", "near"
        elif index in corpus.contaminated:
            stage, outcome = DECONTAMINATE, f"overlaps with {corpus.contaminated[index]}"
        if stage != "split":
            corpus.sides[index] = DROPPED
        ledger.count(stage, outcome, characters=corpus.characters[index], where=document.where)


def _check_splits(corpus: Corpus, settings: PrepareSettings, ledger: Ledger) -> None:
    """An empty corpus or side is refused with what became of the documents and what is needed."""
    counts = {split: corpus.sides.count(side) for side, split in enumerate(SPLITS, start=1)}
    read = ledger["read", "documents"].documents
    if sum(counts.values()) == 0:
        lost = [f"{entry.documents:,} {outcome}" for stage, outcome, entry in ledger if stage in DROPPING]
        story = f"; of {read:,} read: {', '.join(lost)}" if lost else " in the sources"
        raise DataError(
            f"no document is left{story}", where="prepare.data.sources", fix="Add text, or drop less of it."
        )
    for split, documents in counts.items():
        if documents == 0:
            raise DataError(
                f"no document fell to {split}: {sum(counts.values()):,} of {read:,} documents are left, and each "
                f"decides for itself with a validation share of {settings.split.validation_share:g}",
                where="prepare.split.validation_share",
                fix='Add documents, cut the text into more of them (prepare.data.documents = "paragraph" or "line"), '
                "or change the share.",
            )


def make_tokenizer(texts: Iterable[str], settings: TokenizerSettings) -> Tokenizer:
    """The tokenizer that the settings name, or one learned from these texts."""
    if settings.file is not None:
        found = read_tokenizer(Path(settings.file), lowercase=settings.lowercase)
        return found if settings.sentinels is None else with_sentinels(found, settings.sentinels)
    with progress("training the tokenizer", None):
        return train_tokenizer(iter(texts), settings)


DROPPING = ("filter", "duplicates", DECONTAMINATE)


def _make_tokenizer(corpus: Corpus, spool: Spool, settings: TokenizerSettings) -> Tokenizer:
    """Train on the train side only, so that validation stays unseen; or read the named one."""
    return make_tokenizer(corpus.texts(spool, "train"), settings)


def _write_split(
    folder: files.NewFolder,
    split: str,
    corpus: Corpus,
    spool: Spool,
    tokenizer: Tokenizer,
    settings: PrepareSettings,
    ledger: Ledger,
) -> Facts:
    """Encode one side and write it; its unknown tokens are counted in the ledger."""
    with progress(f"encoding {split}", corpus.characters_in(split)) as tick:
        encoded = encode_documents(_ticking(corpus.texts(spool, split), tick), tokenizer)
        index = write_split(
            folder,
            split,
            _counting_unknown(encoded, tokenizer.unk_id, split, ledger),
            vocab_size=tokenizer.vocab_size,
            tokenizer_sha256=tokenizer.sha256,
        )
    if settings.keep_text:
        _write_text(folder, f"{split}/{TEXT}", corpus.documents(spool, split))
    return index


def _counting_unknown(
    encoded: Iterable[EncodedDocument], unknown: int | None, split: str, ledger: Ledger
) -> Iterator[EncodedDocument]:
    for document in encoded:
        times = 0 if unknown is None else document.ids.count(unknown)
        if times:
            ledger.count("encode", f"unknown to the tokenizer ({split})", characters=times)
        yield document


def _write_text(folder: files.NewFolder, name: str, documents: Iterable[Document]) -> None:
    compressor = zstandard.ZstdCompressor().compressobj()
    with folder.open(name) as file:
        for document in documents:
            line = json.dumps({"text": document.text, "where": document.where}, ensure_ascii=False) + "\n"
            file.write(compressor.compress(line.encode()))
        file.write(compressor.flush())


def _sample(corpus: Corpus, spool: Spool) -> Iterator[str]:
    """The first characters of the validation side: text that the tokenizer wasn't trained on."""
    left = QUALITY_CHARACTERS
    for text in corpus.texts(spool, "validation"):
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _workers(wanted: int, total_bytes: int | None) -> int:
    if wanted:
        return wanted
    worth_it = total_bytes is None or total_bytes > BYTES_WORTH_A_WORKER
    return available_cores() if worth_it else 1


def _known_bytes(sources: Iterable[Source]) -> int | None:
    """The size of all sources on the disk; None if one is standard input."""
    sizes = [source.size_bytes for source in sources]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _adding(tick: Tick) -> Callable[[int], None]:
    done = 0

    def add(amount: int) -> None:
        nonlocal done
        done += amount
        tick(done)

    return add


def _ticking(texts: Iterable[str], tick: Tick) -> Iterator[str]:
    add = _adding(tick)
    for text in texts:
        yield text
        add(len(text))
