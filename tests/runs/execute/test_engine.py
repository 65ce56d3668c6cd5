"""What an engine is asked for is checked before anything begins."""

import pickle

import pytest

from histofactor.errors import OptionError
from histofactor.runs.execute.engine import LOCAL, Engine, check_engine


@pytest.mark.parametrize(
    "engine", [LOCAL, Engine(name="ray"), Engine(name="ray", workers=2, gpus_per_worker=0, slide_timeout_s=60)]
)
def test_what_can_be_had(engine):
    check_engine(engine)
    assert pickle.loads(pickle.dumps(engine)) == engine


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (Engine(name="rae"), "unknown engine 'rae'; expected one of local, ray"),
        (Engine(workers=2), "--workers is for workers of Ray; give --engine ray too, or leave --workers out"),
        (Engine(address="auto"), "--address is for workers of Ray"),
        (Engine(name="ray", workers=0), "--workers is out of range; expected a number above 0; got 0"),
        (Engine(name="ray", slide_timeout_s=-1.0), "--slide-timeout is out of range"),
        (Engine(name="ray", memory_gb=float("nan")), "--memory-per-worker is out of range"),
        (Engine(name="ray", gpus_per_worker=float("inf")), "--gpus-per-worker is out of range"),
    ],
)
def test_what_cannot(engine, words):
    with pytest.raises(OptionError) as error:
        check_engine(engine)
    assert words in str(error.value)
