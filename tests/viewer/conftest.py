"""A study behind the guard of the viewer, and a client that has opened it."""

import pytest

from histofactor.viewer.study import open_view
from viewer_client import Viewer


@pytest.fixture(scope="session")
def looked_at(whole_study):
    """A viewer of a study that is only looked at."""
    with open_view(whole_study[0], read_only=True) as view:
        yield Viewer(view).open()


@pytest.fixture
def viewer(study):
    """A viewer of a copy of a study, which may be changed."""
    with open_view(study[0]) as view:
        assert not view.why_read_only
        one = Viewer(view).open()
        yield one
        one.server.applying.close()
