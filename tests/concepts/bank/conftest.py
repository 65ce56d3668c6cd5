"""Where a bank is written."""

import pytest


@pytest.fixture
def path(tmp_path):
    """A file that is not there yet."""
    return tmp_path / "bank.safetensors"
