"""Workers of the engine that is asked for."""

import pytest

from histofactor.errors import OptionError
from histofactor.runs.execute.engine import LOCAL, Engine
from histofactor.runs.execute.local import LocalWorkers
from histofactor.runs.execute.workers import open_workers


def test_this_process_is_the_default():
    with open_workers(LOCAL) as workers:
        assert isinstance(workers, LocalWorkers)
        assert workers.number == 1


def test_what_is_asked_for_is_checked_first():
    with pytest.raises(OptionError, match="unknown engine"), open_workers(Engine(name="spark")):
        pass
