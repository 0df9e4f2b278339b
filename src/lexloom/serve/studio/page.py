"""The page itself: its files put into one, with a policy that lets nothing else run.

Texts, style and script lie beside this folder in `serve/page`; no tool is needed to change them.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resources
from typing import Any

PAGE = resources("lexloom.serve").joinpath("page")
SCRIPTS = (
    "dom",
    "texts",
    "key",
    "api",
    "parts",
    "bars",
    "marked",
    "looks",
    "heat",
    "curve",
    "writing",
    "chatting",
    "rewriting",
    "filling",
    "classifying",
    "tagging",
    "relating",
    "answering",
    "comparing_texts",
    "explaining",
    "runs",
    "compared",
    "voting",
    "main",
)
"""In the order in which they build on one another; together they are one module."""
LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Page:
    """What is sent to whoever opens `/`."""

    html: bytes
    policy: str
    """Its Content-Security-Policy: the two hashes are the only script and the only style that run, only this server
    is talked to, and no string can become markup (trusted types)."""


@cache
def studio_page() -> Page:
    """The page, put together once."""
    style, script = _read("style.css"), "\n".join(_read(f"script/{name}.js") for name in SCRIPTS)
    texts = json.dumps(page_texts(), ensure_ascii=False).replace("<", "\\u003c")
    html = _read("index.html")
    for name, content in (("style", style), ("texts", texts), ("script", script)):
        assert f"</{name}" not in content, f"{name} would end its own element"
        html = html.replace(f"{{{{ {name} }}}}", content, 1)
    return Page(html.encode(), _policy(style, script))


def page_texts() -> dict[str, Any]:
    """All that the page says: key → language → words."""
    texts: dict[str, Any] = json.loads(_read("texts.json"))
    return texts


def _policy(style: str, script: str) -> str:
    rules = (
        "default-src 'none'",
        f"script-src '{_digest(script)}'",
        f"style-src '{_digest(style)}'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return "; ".join(rules)


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _read(name: str) -> str:
    return PAGE.joinpath(name).read_text(encoding="utf-8")
