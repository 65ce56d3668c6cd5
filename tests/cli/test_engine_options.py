"""Where inputs are worked on, as the command line says it."""

import pytest

from histofactor.cli.engine_options import EngineChoice
from histofactor.errors import OptionError
from histofactor.runs.execute.engine import LOCAL, Engine


def test_this_process_is_the_default():
    assert EngineChoice().asked() == LOCAL


def test_every_option_reaches_the_engine():
    choice = EngineChoice(
        engine="ray", address="auto", workers=3, gpus_per_worker=0.5, slide_timeout=60.0, memory_per_worker=8.0
    )
    wanted = Engine(name="ray", address="auto", workers=3, gpus_per_worker=0.5, slide_timeout_s=60.0, memory_gb=8.0)
    assert choice.asked() == wanted


def test_encoders_on_the_cpu_take_no_gpus():
    assert EngineChoice(engine="ray").asked("cpu").gpus_per_worker == 0
    assert EngineChoice(engine="ray").asked("auto").gpus_per_worker is None
    assert EngineChoice(engine="ray", gpus_per_worker=1.0).asked("cpu").gpus_per_worker == 1
    assert EngineChoice().asked("cpu") == LOCAL


def test_what_is_wrong_is_refused():
    with pytest.raises(OptionError, match="--workers is for workers of Ray"):
        EngineChoice(workers=2).asked()


@pytest.mark.parametrize(
    "command",
    [
        ["segment", "a.png", "-o", "out"],
        ["concepts", "train", "a.png", "-o", "out.safetensors"],
        ["relabel", "out"],
        ["evaluate", "data", "-o", "out"],
    ],
)
def test_verbs_take_it_and_check_it_first(histofactor, command):
    code, _, err = histofactor(*command, "--engine", "spark")
    assert code == 2
    assert err.startswith("error: unknown engine 'spark'")


def test_one_input_is_relabelled_here(histofactor, tmp_path):
    code, _, err = histofactor("relabel", tmp_path, "-o", tmp_path / "new", "--engine", "ray")
    assert code == 2
    assert "--engine ray is for a study" in err
