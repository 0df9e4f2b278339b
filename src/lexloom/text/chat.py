"""Chat formats: how messages become one sequence of tokens.

Control tokens come from the format alone. What people write is encoded as ordinary text, so that no content can end its
own message. A template inside a model folder is never run: it is compared with the texts of the formats below.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lexloom.base import files
from lexloom.base.errors import FolderError, UserError
from lexloom.text.tokenizers import CONFIG_FILE, TEMPLATE_FILE, Tokenizer

Role = Literal["system", "user", "assistant"]
ROLES = ("system", "user", "assistant")
MAX_TEMPLATE_CHARACTERS = 4096
SMOLLM2_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn; raises UserError for a role that isn't one of ROLES."""

    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UserError(f"unknown role {self.role!r}", fix=f"Use one of {', '.join(ROLES)}.")


@dataclass(frozen=True, slots=True)
class Control:
    """A control token, by name."""

    token: str
    reply: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Ordinary text; `reply`: it is what an assistant says, and training learns it."""

    text: str
    reply: bool = False


Part = Control | Text


@dataclass(frozen=True)
class ChatFormat:
    """`write` turns one message into parts, `opening` are the parts after which the assistant speaks.

    `begin` stands before all messages; `system` is said first if nobody says anything else. `end` is the control token
    that ends a reply, `stop` the strings that do where there is none. `template` tells other tools the same, in Jinja.
    """

    write: Callable[[Message], list[Part]]
    opening: tuple[Part, ...]
    template: str
    begin: tuple[Part, ...] = ()
    end: str | None = None
    stop: tuple[str, ...] = ()
    system: str | None = None

    def encode(self, messages: Sequence[Message], tokenizer: Tokenizer, *, reply: bool) -> tuple[list[int], list[bool]]:
        """The ids of a conversation, and which of them the assistant says (its end tokens included).

        With `reply` the ids end where the assistant is to speak. Replies are encoded apart from what precedes them, as
        they come about when the model speaks. Raises UserError for no messages, or a missing control token.
        """
        return self.encode_all([messages], tokenizer, reply=reply)[0]

    def encode_all(
        self, conversations: Sequence[Sequence[Message]], tokenizer: Tokenizer, *, reply: bool
    ) -> list[tuple[list[int], list[bool]]]:
        """As `encode` of each conversation, on all cores."""
        written = [list(self._parts(messages, reply=reply)) for messages in conversations]
        texts = tokenizer.encode_batch([part.text for parts in written for part in parts if isinstance(part, Text)])
        left = iter(texts)
        return [_joined((self._ids(part, tokenizer, left), part.reply) for part in parts) for parts in written]

    def end_ids(self, tokenizer: Tokenizer) -> list[int]:
        """The ids that end a reply."""
        ends = [tokenizer.eos_id, None if self.end is None else tokenizer.id(self.end)]
        return [number for number in dict.fromkeys(ends) if number is not None]

    def _parts(self, messages: Sequence[Message], *, reply: bool) -> Iterator[Part]:
        if not messages:
            raise UserError("a conversation needs at least one message")
        yield from self.begin
        if self.system is not None and messages[0].role != "system":
            yield from self.write(Message("system", self.system))
        for message in messages:
            yield from self.write(message)
        if reply:
            yield from self.opening

    def _ids(self, part: Part, tokenizer: Tokenizer, texts: Iterator[list[int]]) -> list[int]:
        return [self._control_id(part.token, tokenizer)] if isinstance(part, Control) else next(texts)

    def _control_id(self, token: str, tokenizer: Tokenizer) -> int:
        number = tokenizer.id(token)
        if number is None or number not in tokenizer.special_ids:
            raise UserError(
                f"the tokenizer has no control token {token}",
                fix="Choose another chat format; `plain` needs no control tokens.",
            )
        return number


def _joined(parts: Iterable[tuple[list[int], bool]]) -> tuple[list[int], list[bool]]:
    ids: list[int] = []
    said: list[bool] = []
    for new, reply in parts:
        ids += new
        said += [reply] * len(new)
    return ids, said


def chat_format_of(folder: Path) -> str | None:
    """The name of the format that a model folder's chat template describes; None if it has none or an unknown one."""
    template = _template_of(folder)
    return None if template is None else recognise(template)


def template_format(tokenizer: Tokenizer) -> str:
    """The name of the format that a tokenizer's template describes, `plain` if it has none.

    Raises FolderError for a template that is none of ours.
    """
    template = _template_in(tokenizer.config, CONFIG_FILE)
    if template is None:
        return "plain"
    name = recognise(template)
    if name is None:
        known = ", ".join(CHAT_FORMATS)
        raise FolderError("its chat template is an unknown one", fix=f"Name the chat format, one of {known}.")
    return name


def with_template(tokenizer: Tokenizer, template: str) -> Tokenizer:
    """The same tokenizer; its folder tells others that messages are written so."""
    return Tokenizer(tokenizer.to_bytes(), {**tokenizer.config, "chat_template": template})


def recognise(template: str) -> str | None:
    """The format whose template this is, up to quotes, layout and white-space marks; it is compared, never run."""
    if len(template) > MAX_TEMPLATE_CHARACTERS:
        return None
    form = _normal_form(template)
    return next((name for name, known in CHAT_FORMATS.items() if _normal_form(known.template) == form), None)


def _chatml(message: Message) -> list[Part]:
    """OpenAI's markup, as Qwen and SmolLM use it."""
    reply = message.role == "assistant"
    said = _said(f"{message.role}\n", message.content, reply=reply)
    return [Control("<|im_start|>"), *said, Control("<|im_end|>", reply), Text("\n")]


def _llama3(message: Message) -> list[Part]:
    """https://github.com/meta-llama/llama3, ChatFormat in llama/tokenizer.py."""
    reply = message.role == "assistant"
    header: list[Part] = [Control("<|start_header_id|>"), Text(message.role), Control("<|end_header_id|>")]
    return [*header, *_said("\n\n", message.content.strip(), reply=reply), Control("<|eot_id|>", reply)]


def _plain(message: Message) -> list[Part]:
    """Names and colons, for models without control tokens; here a text can pretend to be another turn."""
    return _said(f"{message.role.capitalize()}:", f" {message.content}\n", reply=message.role == "assistant")


def _said(before: str, content: str, *, reply: bool) -> list[Part]:
    return [Text(before), Text(content, reply=True)] if reply else [Text(before + content)]


_CHATML_MESSAGES = (
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

CHAT_FORMATS: dict[str, ChatFormat] = {
    "chatml": ChatFormat(
        write=_chatml,
        opening=(Control("<|im_start|>"), Text("assistant\n")),
        end="<|im_end|>",
        template="{% for message in messages %}" + _CHATML_MESSAGES,
    ),
    "smollm2": ChatFormat(
        write=_chatml,
        opening=(Control("<|im_start|>"), Text("assistant\n")),
        end="<|im_end|>",
        system=SMOLLM2_SYSTEM,
        template="{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        f"{{{{ '<|im_start|>system\\n{SMOLLM2_SYSTEM}<|im_end|>\\n' }}}}{{% endif %}}" + _CHATML_MESSAGES,
    ),
    "llama3": ChatFormat(
        write=_llama3,
        begin=(Control("<|begin_of_text|>"),),
        opening=(Control("<|start_header_id|>"), Text("assistant"), Control("<|end_header_id|>"), Text("\n\n")),
        end="<|eot_id|>",
        template="{% set loop_messages = messages %}{% for message in loop_messages %}"
        "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'"
        "+ message['content'] | trim + '<|eot_id|>' %}"
        "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
    ),
    "plain": ChatFormat(
        write=_plain,
        opening=(Text("Assistant:"),),
        stop=("\nUser:", "\nSystem:"),
        template="{% for message in messages %}"
        "{{ message['role'] | capitalize + ': ' + message['content'] + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}",
    ),
}


def _template_of(folder: Path) -> str | None:
    if (folder / TEMPLATE_FILE).is_file():
        return (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    config = files.read_json(folder / CONFIG_FILE) if (folder / CONFIG_FILE).is_file() else {}
    return _template_in(config, str(folder / CONFIG_FILE)) if isinstance(config, dict) else None


def _template_in(config: Mapping[str, Any], where: str) -> str | None:
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    if template is not None and not isinstance(template, str):
        raise FolderError("chat_template is not a text", where=where)
    return template


_TAGS = re.compile(r"(\{%.*?%\}|\{\{.*?\}\})", re.DOTALL)
_LITERALS = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.DOTALL)


def _normal_form(template: str) -> list[str]:
    """Tags without free white space, one kind of quotes; between them, the text that would be printed.

    As transformers renders it, a line break after a block and spaces before one are no text (trim and lstrip blocks).
    """
    parts = _TAGS.split(template)
    texts, tags = parts[::2], parts[1::2]
    for place, tag in enumerate(tags):
        if tag.startswith(("{%-", "{{-")):
            texts[place] = texts[place].rstrip()
        elif tag.startswith("{%"):
            texts[place] = re.sub(r"(^|\n)[ \t]+\Z", r"\1", texts[place])
        if tag.endswith(("-%}", "-}}")):
            texts[place + 1] = texts[place + 1].lstrip()
        elif tag.endswith("%}"):
            texts[place + 1] = texts[place + 1].removeprefix("\n")
    ordered = [part for pair in zip(texts, [*map(_normal_tag, tags), ""], strict=True) for part in pair]
    return [part for part in ordered if part]


def _normal_tag(tag: str) -> str:
    inner = tag[2:-2].removeprefix("-").removesuffix("-")
    pieces = _LITERALS.split(inner)
    code = ["".join(piece.split()) for piece in pieces[::2]]
    literals = ["'" + piece[1:-1].replace("\n", "\\n") + "'" for piece in pieces[1::2]]
    mixed = [part for pair in zip(code, [*literals, ""], strict=True) for part in pair]
    return tag[:2] + "".join(mixed) + tag[-2:]
