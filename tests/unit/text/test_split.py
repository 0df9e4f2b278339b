from hypothesis import given
from hypothesis import strategies as st

from lexloom.text.split import side_of

TEXTS = [f"document {number} 文" for number in range(4000)]


def test_share_is_met_on_average() -> None:
    for share in (0.01, 0.1, 0.5):
        found = sum(side_of(text, share) == "validation" for text in TEXTS) / len(TEXTS)
        # five standard errors
        assert abs(found - share) < 5 * (share * (1 - share) / len(TEXTS)) ** 0.5


@given(st.text())
def test_exact_duplicates_land_on_the_same_side(text: str) -> None:
    assert side_of(text, 0.3) == side_of(f"  {text}\n", 0.3) == side_of(text.replace(" ", "  "), 0.3)


def test_larger_share_moves_documents_one_way_only() -> None:
    small = {text for text in TEXTS if side_of(text, 0.1) == "validation"}
    large = {text for text in TEXTS if side_of(text, 0.2) == "validation"}
    assert small < large


def test_sides_are_the_same_on_every_machine_and_in_every_release() -> None:
    sides = "".join(side_of(text, 0.5)[0] for text in TEXTS[:24])
    assert sides == "tvvttvttttvtvvttvvvvtvtv"
