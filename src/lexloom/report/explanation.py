"""A page that shows why a model answers as it does: coloured texts, and where it looked.

Like report.html it is one file that loads nothing, for screen, telephone and paper, in English and Chinese. Words that
speak for the answer are blue with a solid line, words against it orange with a broken one.
Axes: N layers, H heads, L tokens.
"""

from collections.abc import Mapping, Sequence

from lexloom.explain.attention import AttentionMaps, head_habits
from lexloom.explain.attributions import GRADIENTS
from lexloom.explain.explanation import Explained, Explanation
from lexloom.explain.words import Word
from lexloom.report.attention import picture, pictures, takes, upright
from lexloom.report.html import Twin, style, template
from lexloom.report.numbers import count
from lexloom.report.read import Row

MOST_MAPS = 4
"""Pieces of one text whose attention is shown; a long text has many."""

MEASURES: dict[str, Twin] = {
    "log-odds": ("log-odds", "对数几率"),
    "score": ("score", "分数"),
    "cosine": ("cosine", "余弦"),
}
METHODS: dict[str, Twin] = {
    "gradients": ("Integrated gradients", "积分梯度"),
    "occlusion": ("Occlusion: each word masked in turn", "遮挡法：逐词遮盖"),
}


def render_explanations(explanations: Sequence[Explanation], *, model: str, task: str) -> str:
    """The page about one text or several, answered by the model `model` for `task`."""
    return template("explanation.html.jinja").render(
        css=style("page.css", "attention.css", "explanation.css"),
        title=("Why the model answers so", "模型何以如此作答"),
        lede=(f"{model}, {task}", ""),
        stats=[],
        examples=[_example(number, explanation) for number, explanation in enumerate(explanations)],
    )


def _example(number: int, explanation: Explanation) -> Row:
    shown = explanation.attention[:MOST_MAPS]
    return {
        "number": number + 1,
        "answer": _answer(explanation.prediction),
        "explained": [_explained(explanation, each) for each in explanation.explained],
        "left_out": ", ".join(explanation.left_out),
        "plain": explanation.texts,
        "maps": [_map(f"a{number}-{piece}", maps) for piece, maps in enumerate(shown)],
        "more_maps": count(len(explanation.attention) - len(shown)) if len(explanation.attention) > len(shown) else "",
    }


def _answer(prediction: Row) -> str:
    """The answer in a line, whatever the task."""
    for key in ("label", "answer", "text"):
        if key in prediction:
            share = prediction.get("probability")
            return f"{prediction[key] or '—'}" + (f" · {share:.1%}" if share is not None else "")
    if "labels" in prediction:
        return ", ".join(prediction["labels"]) or "—"
    if "entities" in prediction:
        return ", ".join(f"{entity['type']} {entity['text']}" for entity in prediction["entities"]) or "—"
    return f"{prediction['score']:.3f}" if "score" in prediction else ""


# ---- attributions ----


def _explained(explanation: Explanation, explained: Explained) -> Row:
    found = explained.attribution
    largest = max(map(abs, found.values), default=0.0)
    values = dict(zip(explained.words, found.values, strict=True))
    return {
        "name": explained.name,
        "measure": MEASURES[explained.measure],
        "method": METHODS[found.method],
        "gradients": found.method == GRADIENTS,
        "blank": explanation.blank,
        "texts": _coloured(explanation, values, largest),
        "rows": [
            {"word": explanation.texts[word.text][word.start : word.end], **_shade(value, largest)}
            for word, value in values.items()
        ],
        "largest": f"{largest:.2g}",
        "output": signed(found.output),
        "baseline": signed(found.baseline),
        "difference": signed(found.output - found.baseline),
        "sum": signed(sum(found.values)),
        "error": f"{abs(found.error):.1e}",
        "steps": count(found.steps),
        "complete": found.complete is not False,
    }


def signed(value: float) -> str:
    """A number with its sign, a true minus, and three decimals: `+0.124`, `−1.300`."""
    return f"{round(value, 3) + 0.0:+.3f}".replace("-", "−")


def _coloured(explanation: Explanation, values: Mapping[Word, float], largest: float) -> list[list[Row]]:
    """Each text as stretches: the words with their shades, and what stands between them."""
    texts: list[list[Row]] = [[] for _ in explanation.texts]
    done = [0] * len(texts)
    for word in explanation.words:
        text = explanation.texts[word.text]
        shade = _shade(values[word], largest) if word in values else {"side": "", "value": ""}
        written = {"text": text[word.start : word.end], **shade}
        texts[word.text] += [_between(text[done[word.text] : word.start]), written]
        done[word.text] = word.end
    for stretches, text, end in zip(texts, explanation.texts, done, strict=True):
        stretches.append(_between(text[end:]))
    return texts


def _between(text: str) -> Row:
    """White space, or what the model didn't read."""
    return {"text": text, "side": "unread" if text.strip() else "", "value": ""}


def _shade(value: float, largest: float) -> Row:
    share = abs(value) / largest if largest > 0 else 0.0
    side = "for" if value >= 0 else "against"
    return {"side": side, "share": f"{share:.3f}", "value": signed(value)}


# ---- attention ----


def _map(name: str, maps: AttentionMaps) -> Row:
    layers, heads = maps.weights_NHLL.shape[:2]
    together_LL = maps.rollout
    return {
        "name": name,
        "tokens": [
            {"text": token, "upright": upright(token), "takes": takes(maps.tokens, row_L)}
            for token, row_L in zip(maps.tokens, together_LL, strict=True)
        ],
        **pictures(maps.weights_NHLL),
        "rollout": picture(together_LL / together_LL.max()),
        "habits": [
            {
                "layer": habits.layer + 1,
                "head": habits.head + 1,
                "shares": [f"{share:.0%}" for share in (habits.itself, habits.previous, habits.next, habits.special)],
                "spread": f"{habits.spread:.1f}",
            }
            for habits in head_habits(maps)
        ],
        "first": [
            {"token": token, "share": f"{share:.1%}", "percent": f"{100 * share / together_LL[0].max():.1f}"}
            for token, share in zip(maps.tokens, together_LL[0].tolist(), strict=True)
        ],
        "shape": (f"{layers} layers × {heads} heads", f"{layers} 层 × {heads} 头"),
    }
