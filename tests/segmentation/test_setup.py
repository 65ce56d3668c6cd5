"""What is loaded once: every wrong combination is refused before any pixel is read."""

from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.file import save_bank
from histofactor.concepts.bank.record import new_bank
from histofactor.encoders.build import load_encoder
from histofactor.errors import BankError, BankMismatch, EncoderError, OptionError, ResolutionError
from histofactor.segmentation.setup import SegmentOptions, prepare


def test_a_bank_of_its_own(tiny_encoder, tiny_bank):
    segmenter = prepare(encoder=tiny_encoder, concepts=tiny_bank)
    assert segmenter.bank is tiny_bank
    assert segmenter.method.name == "project"


def test_bank_from_a_file_at_one_k(tiny_encoder, tiny_bank, tmp_path):
    other = new_bank(tiny_bank.vectors[:4], tiny_encoder.spec.key)
    save_bank([other, replace(tiny_bank, mpp=None)], tmp_path / "bank.safetensors")
    assert len(prepare(encoder=tiny_encoder, concepts=tmp_path / "bank.safetensors", k=4).bank.vectors) == 4
    with pytest.raises(BankError, match="4, 6"):
        prepare(encoder=tiny_encoder, concepts=tmp_path / "bank.safetensors", k=5)


def test_the_embedded_encoder_brings_its_bank():
    for k in (8, 16, 32, 64):
        segmenter = prepare(k=k, options=SegmentOptions(device="cpu"))
        assert segmenter.bank.vectors.shape == (k, segmenter.setup.encoder.spec.dim)
        assert segmenter.bank.encoder == segmenter.setup.encoder.spec.key
        assert segmenter.bank.mpp == segmenter.setup.encoder.spec.mpp


def test_single_needs_no_bank_and_takes_k_as_components(tiny_encoder):
    assert prepare(encoder=tiny_encoder, method="single", k=5).factorization.components == 5
    assert prepare(encoder=tiny_encoder, method="single").factorization.components == 20


def test_bank_of_another_encoder(tiny_encoder, tiny_bank):
    foreign = replace(tiny_bank, encoder=replace(tiny_bank.encoder, name="uni"))
    with pytest.raises(BankMismatch, match=r"(?s)uni.*tiny|tiny.*uni"):
        prepare(encoder=tiny_encoder, concepts=foreign)


def test_bank_of_another_layer(tiny_encoder, tiny_bank):
    foreign = replace(tiny_bank, encoder=replace(tiny_bank.encoder, layer="blocks[3]"))
    with pytest.raises(BankMismatch, match="blocks"):
        prepare(encoder=tiny_encoder, concepts=foreign)


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"method": "magic"}, OptionError, "project, raw, factorize, cluster, single"),
        ({"k": 0}, OptionError, "k ≥ 1"),
        ({"k": -3}, OptionError, "k ≥ 1"),
        ({"k": 7}, OptionError, "k does not fit"),
        ({"mpp": 0.0}, ResolutionError, "--mpp"),
        ({"mpp": -1.0}, ResolutionError, "--mpp"),
        ({"mpp": float("nan")}, ResolutionError, "--mpp"),
        ({"options": SegmentOptions(components=0)}, OptionError, "components"),
        ({"method": "single", "options": SegmentOptions(seed=-1)}, OptionError, "seed"),
        ({"options": SegmentOptions(unlike="auto")}, OptionError, r"(?s)state a number.*train the bank anew"),
        ({"options": SegmentOptions(unlike="most")}, OptionError, "auto, or a number"),
        ({"options": SegmentOptions(unlike="nan")}, OptionError, "auto, or a number"),
        ({"options": SegmentOptions(unlike=0.0)}, OptionError, "auto, or a number"),
        ({"options": SegmentOptions(unlike=1.0)}, OptionError, "auto, or a number"),
        (
            {"options": SegmentOptions(unlike=0.5), "method": "single", "concepts": None},
            OptionError,
            "cluster, project, raw",
        ),
        ({"method": "single"}, OptionError, "takes no concepts"),
        ({"options": SegmentOptions(seed=-1)}, OptionError, "seed"),
        ({"options": SegmentOptions(tissue=False, tissue_mask="m.png")}, OptionError, "tissue mask"),
        ({"options": SegmentOptions(unlike=0.5), "method": "factorize"}, OptionError, "cluster, project, raw"),
        ({"concepts": None}, OptionError, "--concepts"),
        ({"encoder": "uny"}, EncoderError, "did you mean 'uni'"),
        ({"encoder": "uni", "options": SegmentOptions(weights="no.bin")}, EncoderError, "no.bin"),
    ],
)
def test_bad_arguments(tiny_encoder, tiny_bank, arguments, error, word):
    with pytest.raises(error, match=word):
        prepare(**{"encoder": tiny_encoder, "concepts": tiny_bank} | arguments)


def test_embedded_lacks_other_ks():
    with pytest.raises(BankError, match="8, 16, 32, 64"):
        prepare(k=12)


def test_vectors_of_another_width(tiny_encoder, tiny_bank):
    short = new_bank(np.ones((3, 5), np.float32), tiny_bank.encoder)
    with pytest.raises(BankMismatch, match="5"):
        prepare(encoder=tiny_encoder, concepts=short)


def test_the_encoder_is_loaded_as_the_concepts_were_learned():
    split = load_encoder("embedded", transform="split").spec
    bank = new_bank(np.ones((2, split.dim), np.float32), split.key)
    assert prepare(concepts=bank).setup.encoder.spec == split
    with pytest.raises(BankMismatch, match="transform relu"):
        prepare(concepts=bank, options=SegmentOptions(transform="relu"))


def test_the_limit_of_what_is_unlike_the_bank(tiny_encoder, tiny_bank):
    limited = replace(tiny_bank, provenance={"residual_limit": 0.625})

    def limit(unlike, method="project", bank=limited):
        options = SegmentOptions(unlike=unlike)
        return prepare(encoder=tiny_encoder, concepts=bank, method=method, options=options).unlike

    assert limit(None) is None
    assert limit("auto") == limit("auto", "raw") == 0.625
    assert limit("0.3") == limit(0.3, "cluster") == limit(0.3, bank=tiny_bank) == 0.3
    with pytest.raises(OptionError, match=r"(?s)project or raw.*state a number"):
        limit("auto", "cluster")
    named = replace(limited, names=("unlike the bank", *limited.names[1:]))
    assert limit(None, bank=named) is None
    with pytest.raises(OptionError, match=r"(?s)'unlike the bank' already.*concepts name"):
        limit("auto", bank=named)
