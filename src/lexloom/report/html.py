"""What all pages share: templates that escape, style sheets, and texts in two languages."""

from functools import cache
from importlib.resources import files as resources

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

Twin = tuple[str, str]
"""The same words in English and in Chinese."""


def template(name: str) -> Template:
    """A template of this package. Whatever is put into it is escaped, unless it is Markup."""
    return _environment().get_template(name)


def style(*names: str) -> Markup:
    """Style sheets of this package, one after another."""
    return Markup("".join(resource(name) for name in names))


def resource(name: str) -> str:
    """The text of a file that lies beside this one."""
    return resources("lexloom.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(resource),
    )
