"""A page that shows which words of its source a model looked at while it wrote.

Like report.html it is one file that loads nothing, for screen, telephone and paper, in English and Chinese.
Axes: N layers, H heads, T target words, S source words.
"""

from collections.abc import Sequence

from lexloom.explain.translation import SourceMaps, Translation
from lexloom.report.attention import picture, pictures, takes, upright
from lexloom.report.html import style, template
from lexloom.report.read import Row


def render_translations(translations: Sequence[Translation], *, model: str, task: str) -> str:
    """The page about one text or several, written by the model `model` for `task`."""
    return template("translation.html.jinja").render(
        css=style("page.css", "attention.css", "translation.css"),
        title=("Where the model looked", "模型看向何处"),
        lede=(f"{model}, {task}", ""),
        stats=[],
        examples=[_example(number, translation) for number, translation in enumerate(translations)],
    )


def _example(number: int, translation: Translation) -> Row:
    maps = translation.maps
    layers, heads, rows, _ = maps.weights_NHTS.shape
    mean_TS = maps.mean_TS
    return {
        "number": number + 1,
        "name": f"s{number}",
        "source": translation.source,
        "written": translation.prediction["text"],
        "words": _words(maps),
        "rows": rows,
        "across": [{"text": word, "upright": upright(word)} for word in maps.source],
        "down": [
            {"text": word, "takes": takes(maps.source, shares_S)}
            for word, shares_S in zip(maps.target, mean_TS, strict=True)
        ],
        "mean": picture(mean_TS),
        "shape": (f"{layers} layers × {heads} heads", f"{layers} 层 × {heads} 头"),
        **pictures(maps.weights_NHTS),
    }


def _words(maps: SourceMaps) -> list[Row]:
    """Each word written, with the one it looked at most."""
    return [
        {
            "word": word,
            "looked": maps.source[place],
            "share": f"{shares_S[place]:.0%}",
            "percent": f"{100 * shares_S[place]:.1f}",
        }
        for word, place, shares_S in zip(maps.target, maps.looked_at, maps.mean_TS, strict=True)
        if place is not None
    ]
