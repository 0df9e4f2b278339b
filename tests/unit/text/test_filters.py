import pytest

from lexloom.base.errors import RecipeError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check
from lexloom.text.filters import MEASURES, FilterSettings, keep

PROSE = "The quick brown fox jumps over the lazy dog, and nobody minds."
CHINESE = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"


def kept(text: str, **settings: object) -> tuple[str | None, Ledger]:
    ledger = Ledger()
    return keep(text, "a:1", FilterSettings.model_validate(settings), ledger), ledger


@pytest.mark.parametrize("text", [PROSE, CHINESE, "a", "。"])
def test_default_keeps_everything_but_emptiness(text: str) -> None:
    assert kept(text)[0] == text


@pytest.mark.parametrize("text", ["", " \n\u3000"])
def test_emptiness_is_always_dropped_and_counted(text: str) -> None:
    result, ledger = kept(text)
    assert result is None
    assert ledger["filter", "empty"].documents == 1


@pytest.mark.parametrize(
    ("measure", "text", "value"),
    [
        ("characters", "天地玄黄", 4),
        ("letters_share", "ab 12", 0.5),
        ("letters_share", "天地，玄", 0.75),
        ("symbols_share", "a#$b", 0.5),
        ("symbols_share", CHINESE, 0),
        ("repeated_lines_share", "ab\nab\ncd\n", 1 / 3),
        ("repeated_ngrams_share", " ".join(map(str, range(40))), 0),
        ("repeated_ngrams_share", CHINESE[:6] * 40, 1 - 5 / (5 * 40 - 9)),
        ("longest_run", "aab!!!!c", 4),
        ("longest_run", "ab  ab", 1),
    ],
)
def test_measures_on_worked_examples(measure: str, text: str, value: float) -> None:
    assert MEASURES[measure](text) == pytest.approx(value)


@pytest.mark.parametrize("measure", MEASURES)
def test_measures_take_emptiness_and_long_texts(measure: str) -> None:
    assert MEASURES[measure]("") >= 0
    assert MEASURES[measure]("春 word #1\n" * 50_000) >= 0


def test_dropped_documents_are_counted_with_measure_and_threshold() -> None:
    result, ledger = kept("!!!!!", at_least={"letters_share": 0.5})
    assert result is None
    assert ledger["filter", "letters_share below 0.5"].examples == ["a:1"]
    result, ledger = kept("aaaaa", at_most={"longest_run": 4})
    assert result is None
    assert ledger["filter", "longest_run above 4"].characters == 5


def test_long_documents_are_cut_and_the_cut_is_counted() -> None:
    result, ledger = kept(CHINESE, cut_characters=5)
    assert result == "床前明月光"
    assert ledger["filter", "cut: too long"].characters == len(CHINESE) - 5


def test_unknown_measure_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match="did you mean 'letters_share'"):
        check(FilterSettings, {"at_least": {"letter_share": 1}}, where="recipe")
