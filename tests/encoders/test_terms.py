"""What a licence means for banks."""

import pytest

from histofactor.encoders import registry
from histofactor.encoders.terms import hub_licence, terms_of
from histofactor.errors import EncoderError


@pytest.mark.parametrize(
    ("encoder", "derivatives", "hub"),
    [
        ("embedded", ["yes"], "apache-2.0"),
        ("uni", ["no"], "cc-by-nc-nd-4.0"),
        ("hibou-b", ["yes"], "apache-2.0"),
        ("embedded,uni", ["yes", "no"], "other"),
        ("timm:resnet18", ["unknown"], "other"),
        ("transformers:someone/network", ["unknown"], "other"),
    ],
)
def test_terms_by_encoder(encoder, derivatives, hub, monkeypatch):
    def looked_up(*_):
        raise AssertionError("a name alone must open nothing")

    monkeypatch.setattr("histofactor.encoders.adhoc.row_of", looked_up)
    terms = terms_of(encoder)
    assert [one.derivatives for one in terms] == derivatives
    assert [one.encoder for one in terms] == encoder.split(",")
    assert hub_licence(terms) == hub


def test_every_row_has_terms_of_its_own():
    for spec in registry.list_encoders():
        (one,) = terms_of(spec.name)
        assert (one.licence, one.derivatives, one.commercial) == (spec.licence, spec.derivatives, spec.commercial)


def test_an_unknown_encoder():
    with pytest.raises(EncoderError, match="unknown encoder 'unii'"):
        terms_of("embedded,unii")
