"""Workers share what there is: never more than a machine has, and no core idle for no reason."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.errors import EngineError
from histofactor.runs.execute.engine import Engine
from histofactor.runs.execute.ray_layout import Layout, lay_out


@pytest.mark.parametrize(
    ("machines", "asked", "layout"),
    [
        ([{"CPU": 2}], {}, Layout(1, 2, 0.0)),
        ([{"CPU": 2}], {"workers": 2}, Layout(2, 1, 0.0)),
        ([{"CPU": 16}], {}, Layout(8, 2, 0.0)),
        ([{"CPU": 1}, {"CPU": 1}], {}, Layout(2, 1, 0.0)),
        ([{"CPU": 16, "GPU": 2}], {}, Layout(2, 8, 1.0)),
        ([{"CPU": 16, "GPU": 2}], {"gpus_per_worker": 0.5}, Layout(4, 4, 0.5)),
        ([{"CPU": 16, "GPU": 2}], {"gpus_per_worker": 0}, Layout(8, 2, 0)),
        ([{"CPU": 16, "GPU": 2}, {"CPU": 64}], {}, Layout(2, 8, 1.0)),
        ([{"CPU": 4, "GPU": 8}], {}, Layout(4, 1, 1.0)),
        ([{"memory": 1.0}, {"CPU": 3}], {}, Layout(1, 3, 0.0)),  # a head without cores for work
    ],
)
def test_what_each_gets(machines, asked, layout):
    assert lay_out(machines, Engine(name="ray", **asked)) == layout


@pytest.mark.parametrize(
    ("machines", "asked", "got"),
    [
        ([{"CPU": 4}], {"workers": 5}, "4 cores on 1 machines"),
        ([{"CPU": 4}], {"gpus_per_worker": 1}, "4 cores and 0 GPUs on 1 machines"),
        ([{"CPU": 4, "GPU": 1}], {"workers": 2}, "4 cores and 1 GPUs on 1 machines"),
        ([], {}, "0 cores on 0 machines"),
    ],
)
def test_no_room(machines, asked, got):
    with pytest.raises(EngineError) as error:
        lay_out(machines, Engine(name="ray", **asked))
    assert error.value.got == got


@given(
    st.lists(st.tuples(st.integers(0, 64), st.integers(0, 8)), min_size=1, max_size=6),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.25, 1.0, 2.0]),
)
def test_it_fits_and_no_larger_one_would(sizes, workers, gpus):
    machines = [{"CPU": cores, "GPU": cards} for cores, cards in sizes]

    def room(cores):
        return sum(min(one // cores, math.floor(cards / gpus) if gpus else one) for one, cards in sizes)

    try:
        layout = lay_out(machines, Engine(name="ray", workers=workers, gpus_per_worker=gpus))
    except EngineError:
        assert room(1) < workers
        return
    assert layout.workers == workers <= room(layout.cores)
    assert room(layout.cores + 1) < workers
