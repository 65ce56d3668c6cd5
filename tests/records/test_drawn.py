"""Records that draw themselves."""

import numpy as np

from histofactor.records import ConceptBank, EncoderKey, Segmentation
from histofactor.records.drawn import Drawn


def test_who_draws_itself():
    assert issubclass(Segmentation, Drawn)
    assert issubclass(ConceptBank, Drawn)


def test_a_record_hands_itself_to_the_public_functions(monkeypatch):
    key = EncoderKey("embedded", "2", "code", "split-root")
    bank = ConceptBank(np.eye(2, dtype=np.float32), key, ("a", "b"), ((1, 2, 3),) * 2)
    monkeypatch.setattr("histofactor.export.notebook.to_html", lambda record: f"<b>{len(record.names)}</b>")
    monkeypatch.setattr("histofactor.export.notebook.plot", lambda record, axes, **how: (record, axes, how))
    assert bank._repr_html_() == "<b>2</b>"
    drawn, axes, how = bank.plot("axes", image=None)
    assert drawn is bank
    assert (axes, how) == ("axes", {"image": None})
