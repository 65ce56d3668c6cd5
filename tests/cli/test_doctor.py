"""``histofactor doctor``."""

import histofactor as package


def test_says_what_is_installed_and_that_it_works(histofactor):
    code, out, _ = histofactor("doctor")
    assert code == 0
    assert package.__version__ in out
    assert "cpu" in out
    assert "embedded encoder: works" in out
