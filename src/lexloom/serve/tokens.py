"""`/tokenize` and `/detokenize`: what a model's tokenizer makes of a text, and the way back."""

from lexloom.generate.prompts import check_ids
from lexloom.serve.gate import Caller
from lexloom.serve.schema_tasks import Detokenized, DetokenizeRequest, TokenizeRequest, Tokens
from lexloom.serve.service import Service
from lexloom.serve.threads import aside


async def tokenize(service: Service, request: TokenizeRequest, caller: Caller) -> Tokens:
    """A text's tokens, without special ones around it."""
    tokenizer = service.model(request.model, "/tokenize").tokenizer
    service.check_texts([request.text], "text")
    [(ids, offsets)] = await aside(lambda: tokenizer.encode_with_offsets([request.text]))
    names = [tokenizer.token(number) or "" for number in ids]
    return Tokens(ids=ids, tokens=names, offsets=offsets, count=len(ids))


async def detokenize(service: Service, request: DetokenizeRequest, caller: Caller) -> Detokenized:
    """The text of tokens; special ones are left out."""
    tokenizer = service.model(request.model, "/detokenize").tokenizer
    check_ids(request.ids, tokenizer.vocab_size)
    return Detokenized(text=await aside(lambda: tokenizer.decode(request.ids)))
