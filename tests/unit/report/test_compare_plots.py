from itertools import pairwise

import pytest

from lexloom.report.compare_plots import NARROW_IN, WIDE_IN, Line, over_labels, over_size, over_time, spread
from lexloom.report.plots import drawing, svg


@pytest.mark.parametrize("wanted", [[1.0], [3.0, 1.0, 2.0], [5.0, 5.0, 5.0], [0.0, 0.1, 9.0, 9.1, 9.2], []])
def test_names_keep_their_order_and_their_distance(wanted):
    found = spread(wanted, 1.0)
    order = sorted(range(len(wanted)), key=lambda place: (wanted[place], place))
    assert all(found[after] - found[before] > 1 - 1e-9 for before, after in pairwise(order))
    assert sum(found) == pytest.approx(sum(wanted))


def test_names_that_have_room_stand_where_they_want():
    assert spread([1.0, 7.0, 4.0], 2.0) == [1.0, 7.0, 4.0]


LINES = [
    Line("5-gram", ((0.1, 2.4),), 2.3, 2.5),
    Line("GPT", ((10.0, 4.0), (100.0, 2.2), (600.0, 2.0)), 1.9, 2.1),
    Line("大模型", ((12.0, 4.0), (600.0, 2.001)), None, None),
]


@pytest.mark.parametrize("size_in", [WIDE_IN, NARROW_IN])
def test_every_line_bears_its_name_and_value(size_in):
    with drawing(size_in) as (figure, axes):
        over_time(axes, LINES, size_in)
        picture = svg(figure, "p")
    assert all(text in picture for text in ("5-gram  2.400", "GPT  2.000", "大模型  2.001", "10 min"))
    with drawing(size_in) as (figure, axes):
        over_labels(axes, LINES, size_in, lower_is_better=False, percent=True)
        assert "GPT  200.0" in svg(figure, "p")
    with drawing(size_in) as (figure, axes):
        over_size(axes, LINES, size_in)
        assert "大模型" in svg(figure, "p")
