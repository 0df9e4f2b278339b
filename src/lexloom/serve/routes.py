"""The table of routes: the only list of what can be asked."""

from lexloom.serve.chat import chat
from lexloom.serve.completions import complete
from lexloom.serve.embeddings import embeddings
from lexloom.serve.endpoint import Route
from lexloom.serve.looking import health, metrics, models, ready
from lexloom.serve.schema import ChatRequest, CompletionRequest, EmbeddingsRequest
from lexloom.serve.schema_answers import ChatChunk, ChatCompletion, Completion, Embeddings, Models
from lexloom.serve.schema_tasks import (
    AnswerRequest,
    AnswerResults,
    ChooseRequest,
    ChooseResults,
    Detokenized,
    DetokenizeRequest,
    FillRequest,
    FillResults,
    Health,
    LabelResults,
    NumberResults,
    PairsRequest,
    SimilarityRequest,
    TagResults,
    TextsRequest,
    TokenizeRequest,
    Tokens,
    WriteRequest,
    WriteResults,
)
from lexloom.serve.tasks import answer, choose, fill, pairs, similarity, texts, writes
from lexloom.serve.tokens import detokenize, tokenize

ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/models", models, None, Models),
    Route("POST", "/v1/completions", complete, CompletionRequest, Completion, Completion),
    Route("POST", "/v1/chat/completions", chat, ChatRequest, ChatCompletion, ChatChunk),
    Route("POST", "/v1/embeddings", embeddings, EmbeddingsRequest, Embeddings),
    Route("POST", "/v1/classify", pairs("/v1/classify"), PairsRequest, LabelResults),
    Route("POST", "/v1/regress", pairs("/v1/regress"), PairsRequest, NumberResults),
    Route("POST", "/v1/tag", texts("/v1/tag"), TextsRequest, TagResults),
    Route("POST", "/v1/relations", texts("/v1/relations"), TextsRequest, LabelResults),
    Route("POST", "/v1/answer", answer, AnswerRequest, AnswerResults),
    Route("POST", "/v1/choose", choose, ChooseRequest, ChooseResults),
    Route("POST", "/v1/similarity", similarity, SimilarityRequest, NumberResults),
    Route("POST", "/v1/fill", fill, FillRequest, FillResults),
    Route("POST", "/v1/translate", writes("/v1/translate"), WriteRequest, WriteResults),
    Route("POST", "/v1/summarise", writes("/v1/summarise"), WriteRequest, WriteResults),
    Route("POST", "/v1/ask", writes("/v1/ask"), WriteRequest, WriteResults),
    Route("POST", "/tokenize", tokenize, TokenizeRequest, Tokens),
    Route("POST", "/detokenize", detokenize, DetokenizeRequest, Detokenized),
    Route("GET", "/health", health, None, Health),
    Route("GET", "/ready", ready, None, Health),
    Route("GET", "/metrics", metrics, None, None),
)
