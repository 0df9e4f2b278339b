"""A model folder that speaks: continue texts, answer in a conversation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lexloom.base.errors import FolderError, UserError
from lexloom.base.recipe import choose
from lexloom.generate.beam import beam_search
from lexloom.generate.constraints import Constraint
from lexloom.generate.decoder import Finish
from lexloom.generate.prompts import first_ids, prompt_ids, separator_ids
from lexloom.generate.settings import BeamSettings, SamplingSettings
from lexloom.generate.text import Piece, generate_text
from lexloom.models import FAMILIES
from lexloom.models.folder import ModelFolder, load_model
from lexloom.nn.inference import lay_out_for_few_rows
from lexloom.text.chat import CHAT_FORMATS, ChatFormat, Message, chat_format_of
from lexloom.text.tokenizers import Tokenizer


def load_speaker(path: Path, *, verify: bool = True) -> ModelFolder:
    """Load a model folder for reading and writing text, laid out for decoding; not for training it further.

    Raises what `load_model` raises, and FolderError if the model doesn't go on with texts.
    """
    folder = load_model(path, verify=verify)
    if FAMILIES[folder.family].kind != "decoder":
        raise FolderError(
            f"its model is an {FAMILIES[folder.family].kind}, and only a decoder goes on with a text",
            where=str(path),
            fix="Ask a fine-tuned model with `lexloom predict`.",
        )
    lay_out_for_few_rows(folder.model)
    return folder


def continue_texts(
    folder: ModelFolder,
    texts: Sequence[str],
    settings: SamplingSettings | Sequence[SamplingSettings],
    *,
    constraint: Constraint | None = None,
) -> Iterator[Piece]:
    """Continue each text, the beginning of a document, as if it were alone; the prompt itself is not repeated.

    `constraint` is the form that each continuation keeps. Raises what `generate_text` raises, and FolderError if the
    folder has no tokenizer.
    """
    tokenizer, opening = tokenizer_of(folder), opening_ids(folder)
    prompts = [prompt_ids(text, tokenizer, opening=opening) for text in texts]
    return generate_text(folder.model, tokenizer, prompts, settings, eos_ids=end_ids(folder), constraint=constraint)


@dataclass(frozen=True)
class Found:
    """A text that a search found."""

    text: str
    score: float
    """What texts are ranked by, see `BeamSettings.length_penalty`."""
    log_probability: float
    """The natural logarithm of the model's own probability of all its tokens, the end-of-text included."""
    tokens: int
    finish: Finish


def search_texts(folder: ModelFolder, texts: Sequence[str], settings: BeamSettings) -> list[list[Found]]:
    """For each text the `n_best` most probable continuations that a beam search finds, the best one first.

    Raises what `beam_search` raises, and FolderError if the folder has no tokenizer.
    """
    tokenizer, opening = tokenizer_of(folder), opening_ids(folder)
    prompts = [prompt_ids(text, tokenizer, opening=opening) for text in texts]
    return [
        [
            Found(tokenizer.decode(one.written), one.score, one.log_probability, len(one.ids), one.finish)
            for one in hypotheses
        ]
        for hypotheses in beam_search(folder.model, prompts, settings, eos_ids=end_ids(folder))
    ]


def answer(
    folder: ModelFolder, messages: Sequence[Message], format: ChatFormat, settings: SamplingSettings
) -> Iterator[Piece]:
    """The next message of a conversation."""
    tokenizer = tokenizer_of(folder)
    ids, _ = format.encode(messages, tokenizer, reply=True)
    ends = {*end_ids(folder), *format.end_ids(tokenizer)}
    stops = settings.model_copy(update={"stop": tuple(dict.fromkeys((*settings.stop, *format.stop)))})
    return generate_text(folder.model, tokenizer, [ids], stops, eos_ids=sorted(ends))


def chat_format(path: Path, name: str | None) -> ChatFormat:
    """The format of this name, or if None the one that the folder was made for; UserError if it can't be known."""
    if name is None:
        name = chat_format_of(path)
    if name is None:
        known = ", ".join(CHAT_FORMATS)
        raise UserError(
            "doesn't say which chat format it was trained on", where=str(path), fix=f"Name the format, one of: {known}."
        )
    found: ChatFormat = choose(CHAT_FORMATS, name, field="format")
    return found


def tokenizer_of(folder: ModelFolder) -> Tokenizer:
    """The folder's tokenizer, or FolderError if it has none."""
    if folder.tokenizer is None:
        raise FolderError("this model has no tokenizer, so it can't read or write text", fix="Add its tokenizer.json.")
    return folder.tokenizer


def opening_ids(folder: ModelFolder) -> list[int]:
    """What stands before every document in this model's training, as far as it is known.

    The separator if Lexloom trained it; the bos token if its tokenizer says that one is added, as Llama's does.
    """
    tokenizer = tokenizer_of(folder)
    if "objective" in folder.facts.get("provenance", {}):
        return separator_ids(tokenizer)
    bos = tokenizer.bos_id if tokenizer.config.get("add_bos_token") is True else None
    return [] if bos is None else [bos]


def start_id(folder: ModelFolder) -> int:
    """The token after which the first one of a text is scored, or FolderError if there is none."""
    start = opening_ids(folder) or first_ids(tokenizer_of(folder))
    if not start:
        raise FolderError("this model's tokenizer has no bos or eos token after which a text could be scored")
    return start[0]


def end_ids(folder: ModelFolder) -> list[int]:
    """The tokens that end a text: the tokenizer's eos, and those that generation_config.json names."""
    named = folder.generation.get("eos_token_id")
    ids = {
        *(named if isinstance(named, list) else [named]),
        None if folder.tokenizer is None else folder.tokenizer.eos_id,
    }
    ids.discard(None)
    for token in ids:
        if type(token) is not int or not 0 <= token < folder.model.config.vocab_size:
            raise FolderError(f"generation_config.json names an eos_token_id {token!r} outside of the vocabulary")
    return sorted(ids)
