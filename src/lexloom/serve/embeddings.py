"""`/v1/embeddings`: texts as vectors, the same numbers as `lexloom embed`."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lexloom.evaluate.embedding import Vectors, limit_of
from lexloom.serve import reading
from lexloom.serve.errors import ApiError
from lexloom.serve.gate import Caller
from lexloom.serve.models import Served
from lexloom.serve.reading import ToEmbed
from lexloom.serve.schema import EmbeddingsRequest
from lexloom.serve.schema_answers import Embedding, Embeddings
from lexloom.serve.service import Service
from lexloom.serve.threads import aside
from lexloom.serve.writing import usage_of

PATH = "/v1/embeddings"


@dataclass(frozen=True, slots=True)
class Found:
    """A text's vector (D), and how much of the text it doesn't know of."""

    vector: Vectors
    cut_characters: int


async def embeddings(service: Service, request: EmbeddingsRequest, caller: Caller) -> Embeddings:
    """A vector for each text."""
    served = service.model(request.model, PATH)
    texts = [request.input] if isinstance(request.input, str) else request.input
    if not texts:
        raise ApiError(400, "there is no text", param="input", code="invalid_value")
    found, read = await vectors_of(service, served, texts, "input")
    _check_width(request, len(found[0].vector))
    form = _as_base64 if request.encoding_format == "base64" else _as_numbers
    data = [
        Embedding(index=number, embedding=form(one.vector), cut_characters=one.cut_characters)
        for number, one in enumerate(found)
    ]
    usage = usage_of(service, served, caller, read=read, written=0)
    return Embeddings(model=served.name, data=data, usage=usage)


async def vectors_of(service: Service, served: Served, texts: Sequence[str], param: str) -> tuple[list[Found], int]:
    """The texts' vectors, and how many tokens were read. Raises ApiError for texts beyond the limits."""
    service.check_texts(texts, param)
    sizes = await aside(lambda: _sizes(served, texts))
    asked = [
        ToEmbed(served.module, served.tokenizer, served.pooling, text, tokens)
        for text, (tokens, _) in zip(texts, sizes, strict=True)
    ]
    vectors = await served.engine.run(reading.embed_all, asked)
    found = [Found(vector, cut) for vector, (_, cut) in zip(vectors, sizes, strict=True)]
    return found, sum(tokens for tokens, _ in sizes)


def _check_width(request: EmbeddingsRequest, width: int) -> None:
    if request.dimensions not in (None, width):
        message = f"dimensions is {request.dimensions:,}; this model's vectors have {width:,} and can't be shortened"
        raise ApiError(400, message, param="dimensions", code="invalid_value")


def _sizes(served: Served, texts: Sequence[str]) -> list[tuple[int, int]]:
    """For each text the tokens that are read of it, and the characters behind them."""
    frame = served.tokenizer.frame(1).special_tokens
    room = limit_of(served.module, served.pooling) - frame
    return [
        (frame + min(len(ids), room), len(text) - offsets[room - 1][1] if len(ids) > room else 0)
        for text, (ids, offsets) in zip(texts, served.tokenizer.encode_with_offsets(texts), strict=True)
    ]


def _as_numbers(vector_D: Vectors) -> list[float]:
    numbers: list[float] = vector_D.tolist()
    return numbers


def _as_base64(vector_D: Vectors) -> str:
    return base64.b64encode(np.asarray(vector_D, "<f4").tobytes()).decode()
