"""A client of the viewer that has opened it."""

from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from histofactor.export.read import open_results
from histofactor.export.tables import read_phenotypes
from histofactor.viewer.app import make_app
from histofactor.viewer.apply import Applying
from histofactor.viewer.security import CSRF_HEADER, Access, hosts_of
from histofactor.viewer.server import Server

PORT = 8750


def contents(out: Path):
    """What is told of every slide of ``study``: labels, names, and whether all of it is of one state."""
    found = {}
    for folder in ("a", "b"):
        with open_results(out / folder) as results:
            labels = results.labels[:]
            rows = read_phenotypes(out / folder / "phenotypes.csv")
            assert results.recipe["bank"]["k"] == len(rows) - 1
            assert labels.max() < len(rows)
            found[folder] = (labels.tobytes(), tuple(row.name for row in rows))
    return found


@contextmanager
def moved_away(path: Path):
    """An input that is not where it was until the block ends."""
    away = path.with_name("away")
    path.rename(away)
    try:
        yield away
    finally:
        away.rename(path)


class Viewer:
    """A client, and what it talks to."""

    def __init__(self, view):
        self.access = Access(hosts_of("127.0.0.1", PORT), PORT)
        self.server = Server(view, self.access, Applying(view.out))
        self.client = TestClient(
            make_app(self.server), base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=True
        )
        self.view = view

    def open(self):
        """As a browser opens the printed address."""
        answer = self.client.get(f"/?token={self.access.token}")
        assert answer.status_code == 200
        return self

    def get(self, path, **given):
        return self.client.get(path, **given)

    def json(self, path):
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, what, content=None, headers=None):
        return self.client.post(
            f"/api/{what}", json=content or {}, headers={CSRF_HEADER: self.access.csrf, **(headers or {})}
        )

    def edit(self, **wanted):
        return self.post("edit", {"version": self.json("/api/concepts")["version"], **wanted})

    @property
    def ids(self):
        return list(self.view.slides)
