"""One server around one model folder, asked much at once; and what the same folder says offline."""

import asyncio
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx2 as httpx

import lexloom
from lexloom.generate.engine import generate_ids
from lexloom.generate.prompts import prompt_ids
from lexloom.generate.reply import end_ids, opening_ids
from lexloom.generate.settings import SamplingSettings
from lexloom.models import FAMILIES
from lexloom.models.folder import load_model
from lexloom.serve.app import app
from lexloom.serve.limits import Limits
from lexloom.serve.log import Log
from lexloom.serve.models import Served, open_model
from lexloom.serve.settings import ServeSettings
from lexloom.serve.worker import Worker
from lexloom.tasks import TASKS
from tests.chatting import speaker_tokenizer
from tests.folders import write_model
from tests.serving import LOCAL
from tests.task_folders import write_task_model
from tests.understanding import LIBAI, STEAM

PROMPTS = ["To be, or not", "春眠不觉晓", "", "ABC 0123", "What is the sky in Paris?"]
MASKS = ["a [MASK] film", "[MASK]无聊[MASK]", "To be, or [MASK] to be: [MASK]"]
SOURCES = ["这部电影真好看", "the wheel of a car", "a"]
HOW = {"max_tokens": 8, "temperature": 0}
Body = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a model is asked, what it says to each offline, and where that stands in a served answer."""

    path: Path
    route: str
    bodies: list[Body]
    offline: list[Any]
    said: Callable[[Any], Any]


def ask(path: Path, requests: Sequence[tuple[str, Body]]) -> list[Any]:
    """The answers of a server around this folder to requests that come together."""
    worker = Worker()
    served = open_model("m", path, worker, Limits())
    application = app({"m": served}, ServeSettings(), log=Log(io.StringIO()))

    async def all_at_once() -> list[Any]:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL, timeout=120) as client:
            return list(
                await asyncio.gather(*(client.post(route, json={"model": "m", **body}) for route, body in requests))
            )

    try:
        answers = asyncio.run(all_at_once())
    finally:
        served.engine.close()
    assert [answer.status_code for answer in answers] == [200] * len(requests), answers[0].text
    return [answer.json() for answer in answers]


def with_engine(engine: Callable[[Any], Any], name: str, path: Path) -> Served:
    """A folder as it is opened for the server, before `engine(tokenizer)` instead of its own, which is closed."""
    served = open_model(name, path, Worker(), Limits())
    served.engine.close()
    return replace(served, engine=engine(served.tokenizer))


# ---- what each family can be asked ----


def completions(path: Path, family: str) -> Asked:
    """Texts continued, with the log-probability of each token."""
    write_model(path, family=family)
    contents = load_model(path)
    bodies = [{"prompt": text, "logprobs": 1, **HOW} for text in PROMPTS]
    prompts = [prompt_ids(text, contents.tokenizer, opening=opening_ids(contents)) for text in PROMPTS]
    scores = [
        [
            t.log_probability
            for t in generate_ids(contents.model, [ids], SamplingSettings(**HOW), eos_ids=end_ids(contents))
        ]
        for ids in prompts
    ]
    model = lexloom.load(path)
    offline = [[model.generate(text, **HOW), one] for text, one in zip(PROMPTS, scores, strict=True)]
    return Asked(path, "/v1/completions", bodies, offline, lambda said: _choice(said, "text", "token_logprobs"))


def chats(path: Path, family: str) -> Asked:
    """Conversations answered."""
    write_model(path, family=family, tokenizer=speaker_tokenizer())
    talks = [[{"role": "user", "content": text}] for text in PROMPTS]
    model = lexloom.load(path)
    offline = [model.chat(talk, **HOW) for talk in talks]
    bodies = [{"messages": talk, **HOW} for talk in talks]
    return Asked(path, "/v1/chat/completions", bodies, offline, lambda said: said["choices"][0]["message"]["content"])


def _choice(said: Any, *names: str) -> list[Any]:
    (choice,) = said["choices"]
    return [choice[names[0]], choice["logprobs"][names[1]]]


TASK_INPUTS: dict[str, tuple[str, list[Any], Callable[[Any], Body]]] = {
    "classify": (
        "/v1/classify",
        ["a lovely film", ("the sky is", "very loud"), "太无聊了"],
        lambda one: {"input": [one]},
    ),
    "regress": ("/v1/regress", ["a lovely film", ("dull", "words")], lambda one: {"input": [one]}),
    "tag": ("/v1/tag", ["Anna lives in Paris", "王小明住在北京", "Mr. John Smith left"], lambda one: {"input": one}),
    "relation": (
        "/v1/relations",
        ["the <e1>fire</e1> caused <e2>damage</e2>", "<e1>汽车</e1>的<e2>轮子</e2>"],
        lambda one: {"input": one},
    ),
    "span": (
        "/v1/answer",
        [("When was it built?", STEAM), ("李白是谁？", LIBAI)],
        lambda one: {"question": one[0], "passage": one[1]},
    ),
    "similarity": (
        "/v1/similarity",
        [("a lovely film", "a quiet song"), ("太无聊了", "这部电影真好看")],
        lambda one: {"first": one[0], "second": one[1]},
    ),
    "choice": (
        "/v1/choose",
        [("the sky is", "blue", "loud"), ("大海是", "响的", "蓝的", "空的")],
        lambda one: {"input": one[0], "candidates": list(one[1:])},
    ),
}  # fmt: skip


def predictions(path: Path, family: str, task: str) -> Asked:
    """What an encoder that was tuned for a task predicts."""
    route, inputs, body = TASK_INPUTS[task]
    write_task_model(path, task, family=family, max_tokens=128)
    offline = [_bare(one) for one in lexloom.load(path).predict(inputs)]
    return Asked(path, route, [body(one) for one in inputs], offline, lambda said: _bare(_result(said)))


def writings(path: Path, family: str, preset: str) -> Asked:
    """Texts written of texts, with several beams."""
    write_task_model(path, "text2text", family=family, max_tokens=64, preset=preset)
    how = {"beams": 2, "n_best": 2, "max_tokens": 8}
    offline = [_bare(one) for one in lexloom.load(path).predict(SOURCES, **how)]
    route = {"translate": "/v1/translate", "summarise": "/v1/summarise", "ask": "/v1/ask"}[preset]
    return Asked(path, route, [{"input": one, **how} for one in SOURCES], offline, lambda said: _bare(_result(said)))


def vectors(path: Path, family: str) -> Asked:
    """A vector for each text."""
    write_task_model(path, "similarity", family=family, max_tokens=128)
    texts = [*SOURCES, "", "Anna lives in Paris"]
    offline = lexloom.load(path).embed(texts).tolist()
    return Asked(
        path, "/v1/embeddings", [{"input": one} for one in texts], offline, lambda said: _result(said)["embedding"]
    )


def fillings(path: Path, family: str, head: str) -> Asked:
    """Candidates for masks."""
    write_model(path, family=family, kind="wordpiece", head=head)
    model = lexloom.load(path)
    offline = [[[asdict(one) for one in mask] for mask in model.fill(text, top=3)] for text in MASKS]
    bodies = [{"input": text, "top": 3} for text in MASKS]
    return Asked(path, "/v1/fill", bodies, offline, lambda said: [one["candidates"] for one in said["data"]])


def _result(said: Any) -> Any:
    (result,) = said["data"]
    assert result["index"] == result["cut_characters"] == 0
    return result


def _bare(result: dict[str, Any]) -> dict[str, Any]:
    """Without what says where it stands, `id` being the place of an input in a file or in a request."""
    return {name: value for name, value in result.items() if name not in ("id", "index", "cut_characters", "object")}


def everything() -> dict[str, Callable[[Path], Asked]]:
    """All that every family can be asked."""
    table: dict[str, Callable[[Path], Asked]] = {}
    for family, entry in FAMILIES.items():
        for name, make in _of(family, entry):
            table[f"{family} {name}"] = make
    return table


def _of(family: str, entry: Any) -> list[tuple[str, Callable[[Path], Asked]]]:
    if entry.kind == "decoder":
        return [("completions", lambda path: completions(path, family)), ("chat", lambda path: chats(path, family))]
    if entry.kind == "encoder-decoder":
        presets = ("translate", "summarise", "ask")
        return [(preset, lambda path, preset=preset: writings(path, family, preset)) for preset in presets]
    tasks = [name for name in TASK_INPUTS if TASKS[name].head in entry.heads]
    found = [(name, lambda path, name=name: predictions(path, family, name)) for name in tasks]
    found += [("vectors", lambda path: vectors(path, family))] if "none" in entry.heads else []
    masked = [head for head in ("masked", "pretraining") if head in entry.heads]
    return found + [(head, lambda path, head=head: fillings(path, family, head)) for head in masked]
