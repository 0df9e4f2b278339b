"""Log-probabilities of tokens, as OpenAI's two kinds of answers tell them."""

from collections.abc import Sequence

from lexloom.serve.jobs import TokenScore
from lexloom.serve.schema_answers import ChatLogprobs, ChosenToken, CompletionLogprobs, TopToken
from lexloom.text.stream import token_bytes
from lexloom.text.tokenizers import Tokenizer


def chat_logprobs(tokens: Sequence[TokenScore], tokenizer: Tokenizer) -> ChatLogprobs:
    """Each token with its bytes, and the most probable ones in its place."""
    return ChatLogprobs(content=[_chosen(token, tokenizer) for token in tokens])


def completion_logprobs(tokens: Sequence[TokenScore], tokenizer: Tokenizer, *, before: int) -> CompletionLogprobs:
    """The older form: lists side by side; `before` characters came before these tokens."""
    texts = [_shown(token.text_bytes) for token in tokens]
    offsets = [before + sum(map(len, texts[:number])) for number in range(len(texts))]
    return CompletionLogprobs(
        tokens=texts,
        token_logprobs=[token.log_probability for token in tokens],
        top_logprobs=[{_shown(token_bytes(tokenizer, other)): value for other, value in token.top} for token in tokens],
        text_offset=offsets,
    )


def _chosen(token: TokenScore, tokenizer: Tokenizer) -> ChosenToken:
    return ChosenToken(
        token=_shown(token.text_bytes),
        logprob=token.log_probability,
        bytes=list(token.text_bytes),
        top_logprobs=[_top(other, value, tokenizer) for other, value in token.top],
    )


def _top(id: int, log_probability: float, tokenizer: Tokenizer) -> TopToken:
    data = token_bytes(tokenizer, id)
    return TopToken(token=_shown(data), logprob=log_probability, bytes=list(data))


def _shown(data: bytes) -> str:
    """Half a character is shown as U+FFFD; its bytes stand beside it."""
    return data.decode(errors="replace")
