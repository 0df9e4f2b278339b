"""What models answer to a prompt that people will judge."""

from lexloom.serve.chat import PATH as CHAT
from lexloom.serve.chat import chat
from lexloom.serve.completions import complete
from lexloom.serve.endpoint import Events
from lexloom.serve.gate import Caller
from lexloom.serve.schema import ChatMessage, ChatRequest, CompletionRequest
from lexloom.serve.service import Service
from lexloom.serve.studio.ballot import Write
from lexloom.serve.studio.schema import PairRequest

SETTINGS = ("max_tokens", "temperature", "top_p", "seed")


def answer(service: Service, request: PairRequest, caller: Caller) -> Write:
    """How each of the models answers: in a conversation if both can, otherwise both by going on."""
    settings = {name: getattr(request, name) for name in SETTINGS}
    talks = all(name in service.models and CHAT in service.models[name].routes for name in request.models)

    async def replies(model: str) -> str:
        messages = [ChatMessage(role="user", content=request.prompt)]
        found = await chat(service, ChatRequest(model=model, messages=messages, **settings), caller)
        assert not isinstance(found, Events), "what isn't asked for as a stream comes whole"
        text: str = found.choices[0].message.content
        return text

    async def goes_on(model: str) -> str:
        found = await complete(service, CompletionRequest(model=model, prompt=request.prompt, **settings), caller)
        assert not isinstance(found, Events), "what isn't asked for as a stream comes whole"
        return found.choices[0].text

    return replies if talks else goes_on
