"""A small model and eight labelled examples for each task, Chinese and English, for tests of any part."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from lexloom.labelled.examples import (
    Answer,
    Choices,
    Conversation,
    Entity,
    Labelled,
    Pair,
    Preference,
    Question,
    Related,
    Tagged,
)
from lexloom.labelled.words import word_spans
from lexloom.models import bert, llama, new_model, transformer
from lexloom.tasks import TASKS, Setting, Task, fit_setting
from lexloom.text.chat import Message
from lexloom.text.tokenizers import Tokenizer, TokenizerSettings, train_tokenizer

GOOD = ("what a lovely film", "这部电影真好看", "a lovely quiet song", "好看的书，真好")
BAD = ("a dull and empty film", "太无聊了，不想看", "dull songs, empty words", "无聊的书，太空了")
NO_ROW: dict[str, Any] = {}


def tagged(text: str, *entities: tuple[str, str]) -> Tagged:
    """A text with its words, and the (stretch, type) entities in it."""
    found = tuple(Entity(text.index(stretch), text.index(stretch) + len(stretch), kind) for stretch, kind in entities)
    return Tagged("t:1", NO_ROW, text, word_spans(text), found)


def related(text: str, first: str, second: str, target: str | None) -> Related:
    """A text with two stretches marked, each the first that reads so."""
    places = [(text.index(stretch), text.index(stretch) + len(stretch)) for stretch in (first, second)]
    return Related("r:1", NO_ROW, text, places[0], places[1], target)


def question(text: str, passage: str, answer: str | None) -> Question:
    """A question with one answer in the passage, or none."""
    answers = () if answer is None else (Answer(answer, passage.index(answer)),)
    return Question("q:1", NO_ROW, "q", text, passage, answers)


def labelled(*texts: str, target: Any) -> Labelled:
    return Labelled("l:1", NO_ROW, texts, target)


def conversation(*turns: str) -> Conversation:
    """What the user and the assistant say in turn."""
    roles = ("user", "assistant")
    return Conversation("t:1", NO_ROW, tuple(Message(roles[at % 2], turn) for at, turn in enumerate(turns)))  # type: ignore[arg-type]


def preference(asked: str, chosen: str, rejected: str) -> Preference:
    """Two answers to one question."""
    return Preference("p:1", NO_ROW, (Message("user", asked),), chosen, rejected)


def pair(source: str, target: str) -> Pair:
    """A text to read and one to write."""
    return Pair("w:1", NO_ROW, source, target)


STEAM = "The steam engine was built in 1712 by Thomas Newcomen in Dudley."
LIBAI = "李白出生于公元701年，他是唐代的诗人，朋友有杜甫。"

EXAMPLES: dict[str, list[Any]] = {
    "classify": [labelled(text, target="good") for text in GOOD] + [labelled(text, target="bad") for text in BAD],
    "regress": [labelled(text, target=4.5) for text in GOOD] + [labelled(text, "pair", target=1.0) for text in BAD],
    "tag": [
        tagged("Anna lives in Paris", ("Anna", "PER"), ("Paris", "LOC")),
        tagged("王小明住在北京", ("王小明", "PER"), ("北京", "LOC")),
        tagged("Nobody lives here"),
        tagged("她不住在这里"),
        tagged("Paris, London and Rome", ("Paris", "LOC"), ("London", "LOC"), ("Rome", "LOC")),
        tagged("北京上海", ("北京", "LOC"), ("上海", "LOC")),
        tagged("Mr. John Smith left", ("John Smith", "PER")),
        tagged("李白和杜甫", ("李白", "PER"), ("杜甫", "PER")),
    ],
    "relation": [
        related("the fire caused damage", "fire", "damage", "Cause-Effect(e1,e2)"),
        related("the damage from fire", "damage", "fire", "Cause-Effect(e2,e1)"),
        related("the wheel of a car", "wheel", "car", "Part-Whole(e1,e2)"),
        related("a car has a wheel", "car", "wheel", "Part-Whole(e2,e1)"),
        related("洪水造成损失", "洪水", "损失", "Cause-Effect(e1,e2)"),
        related("损失来自洪水", "损失", "洪水", "Cause-Effect(e2,e1)"),
        related("汽车的轮子", "轮子", "汽车", "Part-Whole(e1,e2)"),
        related("他们在河边唱歌", "河", "歌", "Other"),
    ],
    "span": [
        question("When was the steam engine built?", STEAM, "1712"),
        question("Who built the engine?", STEAM, "Thomas Newcomen"),
        question("Where was it built?", STEAM, "Dudley"),
        question("Which river is long?", STEAM, None),
        question("李白是谁？", LIBAI, "唐代的诗人"),
        question("李白哪年出生？", LIBAI, "公元701年"),
        question("他的朋友是谁？", LIBAI, "杜甫"),
        question("什么河最长？", LIBAI, None),
    ],
    "similarity": [labelled(one, two, target=5.0) for one, two in zip(GOOD, GOOD[::-1], strict=True)]
    + [labelled(one, two, target=0.0) for one, two in zip(GOOD, BAD, strict=True)],
    "choice": [
        Choices("c:1", NO_ROW, ("the sky is",), ("blue", "loud"), 0),
        Choices("c:2", NO_ROW, ("drums are",), ("blue", "loud"), 1),
        Choices("c:3", NO_ROW, ("the sea is", "what is it?"), ("loud", "blue", "empty"), 1),
        Choices("c:4", NO_ROW, ("glass is",), ("loud", "empty"), 1),
        Choices("c:5", NO_ROW, ("天空是",), ("蓝的", "响的"), 0),
        Choices("c:6", NO_ROW, ("鼓声是",), ("蓝的", "响的"), 1),
        Choices("c:7", NO_ROW, ("大海是",), ("响的", "蓝的", "空的"), 1),
        Choices("c:8", NO_ROW, ("杯子是",), ("响的", "空的"), 1),
    ],
    "chat": [
        conversation("What is the sky?", "blue"),
        conversation("What are drums?", "loud"),
        conversation("Where does Anna live?", "in Paris", "And John?", "in Rome"),
        conversation("Who left?", "John Smith"),
        conversation("天空是什么？", "蓝的"),
        conversation("鼓声是什么？", "响的"),
        conversation("她住在哪里？", "北京", "他呢？", "上海"),
        conversation("他是谁？", "唐代的诗人"),
    ],
    "preference": [
        preference("What is the sky?", "blue", "loud"),
        preference("What are drums?", "loud", "blue"),
        preference("What is glass?", "empty", "dull words"),
        preference("Who left?", "John Smith", "Nobody"),
        preference("天空是什么？", "蓝的", "响的"),
        preference("鼓声是什么？", "响的", "蓝的"),
        preference("她住在哪里？", "住在北京", "太无聊了"),
        preference("他是谁？", "唐代的诗人", "不想看"),
    ],
    "text2text": [
        pair("这部电影真好看", "what a lovely film"),
        pair("这是一首安静的歌", "this is a lovely quiet song"),
        pair("书里是空的", "the book is full of empty words"),
        pair("她住在北京", "Anna lives here in Paris"),
        pair("the wheel of a car", "a car has a wheel"),
        pair("damage from fire", "the fire caused damage"),
        pair("there is nobody", "Nobody lives here"),
        pair("汽车有轮子吗", "has a car a wheel or a loud song"),
    ],
}


def unlabelled(example: Any) -> Any:
    """The same example as it comes without labels."""
    if isinstance(example, Conversation):
        return replace(example, messages=example.messages[:1])
    if isinstance(example, Preference):
        return replace(example, chosen=None, rejected=None)
    field = {"Tagged": "entities", "Question": "answers"}.get(type(example).__name__, "target")
    return replace(example, **{field: None})


def texts_of(example: Any) -> list[str]:
    """All texts of an example."""
    fields = ("text", "question", "passage")
    single = [getattr(example, name) for name in fields if hasattr(example, name)]
    said = [message.content for message in getattr(example, "messages", ())]
    two = [getattr(example, name) or "" for name in ("chosen", "rejected") if hasattr(example, name)]
    if isinstance(example, Pair):
        two = [example.source, *example.targets]
    return [*single, *said, *two, *getattr(example, "texts", ()), *getattr(example, "candidates", ())]


@cache
def tokenizer() -> Tokenizer:
    """WordPiece over what encoders read of these texts, so small that words fall into pieces."""
    read = [example for name, examples in EXAMPLES.items() for example in examples if "encoder" in TASKS[name].needs]
    texts = [text for example in read for text in texts_of(example)]
    return train_tokenizer(iter(texts), TokenizerSettings(kind="wordpiece", vocab_size=260))


@cache
def bytes_tokenizer() -> Tokenizer:
    """ELMo's kind of tokenizer."""
    texts = [text for examples in EXAMPLES.values() for example in examples for text in texts_of(example)]
    return train_tokenizer(iter(texts), TokenizerSettings(kind="word-bytes", vocab_size=300))


def setting_of(
    name: str,
    *,
    max_tokens: int = 64,
    examples: Sequence[Any] | None = None,
    reader: Tokenizer | None = None,
    **settings: Any,
) -> Setting:
    """A task's setting, as training makes it; `reader` is the tokenizer if not that of this file."""
    task, reads = TASKS[name], tokenizer() if reader is None else reader
    training = EXAMPLES[name] if examples is None else examples
    return fit_setting(task, task.settings(**settings), training, tokenizer=reads, max_tokens=max_tokens)


def model_for(name: str, setting: Setting, *, seed: int = 0) -> Any:
    """A model of two layers that can do the task, without dropout."""
    return MODELS[TASKS[name].needs[0]](TASKS[name], setting, seed)


def _encoder(task: Task, setting: Setting, seed: int) -> Any:
    config = bert.Config(
        vocab_size=tokenizer().vocab_size,
        width=48,
        layers=2,
        heads=4,
        ffn_width=96,
        context=64,
        head=task.head,
        labels=max(1, task.columns(setting.labels)),
        dropout=0.0,
        attention_dropout=0.0,
    )
    return new_model("bert", config, seed=seed)


def _decoder(task: Task, setting: Setting, seed: int) -> Any:
    config = llama.Config(
        vocab_size=tokenizer().vocab_size,
        width=48,
        layers=2,
        heads=4,
        kv_heads=2,
        head_width=12,
        ffn_width=96,
        context=64,
        tied=True,
    )
    return new_model("llama", config, seed=seed)


def _encoder_decoder(task: Task, setting: Setting, seed: int) -> Any:
    pad_id = tokenizer().pad_id
    assert pad_id is not None
    config = transformer.Config(
        vocab_size=tokenizer().vocab_size,
        width=48,
        layers=2,
        heads=4,
        ffn_width=96,
        context=64,
        start_id=pad_id,
        pad_id=pad_id,
        dropout=0.0,
    )
    return new_model("transformer", config, seed=seed)


MODELS: dict[str, Callable[[Task, Setting, int], Any]] = {
    "encoder": _encoder,
    "decoder": _decoder,
    "encoder-decoder": _encoder_decoder,
}
