"""Bands of labels are those of the whole, wherever the weights are cut, and what is unlike the bank is marked once."""

import numpy as np
import pytest

from histofactor.masks.bands import Decoder, Decoding, by_owner, token_maps
from histofactor.masks.decode import label_pixels

STRIDE, SIZE = 8, (397, 299)  # width, height: the last cells reach beyond the image
COLUMNS, ROWS = 50, 38
CUTS = pytest.mark.parametrize("cuts", [[], [1], [3, 4, 20], list(range(1, ROWS))])


def everywhere(start, stop):
    return np.ones((stop - start, SIZE[0]), bool)


def random_weights(seed, k=5):
    return np.random.default_rng(seed).gamma(0.3, 1.0, (ROWS, COLUMNS, k)).astype(np.float32)


def decoded(how, cuts, W, residual=None, unreadable=None):
    """Bands as one; every band is decoded by another decoder, which goes on from the state of the one before."""
    residual = np.zeros((ROWS, COLUMNS), np.float32) if residual is None else residual
    unreadable = np.zeros((ROWS, COLUMNS), bool) if unreadable is None else unreadable
    decoder, bands = Decoder(how), []
    for start, stop in zip([0, *cuts], [*cuts, ROWS], strict=True):
        part = slice(start, stop)
        bands.append(decoder.rows((start, stop), W[part], residual[part], unreadable[part]))
        state, decoder = decoder.state(), Decoder(how)
        decoder.restore(state)
    return bands


def joined(bands, name):
    return np.concatenate([getattr(band, name) for band in bands])


def on_px(tokens):
    return np.kron(tokens, np.ones((STRIDE, STRIDE), bool))[: SIZE[1], : SIZE[0]]


def whole(W, owners=None):
    labels, margin = label_pixels(W, (ROWS * STRIDE, COLUMNS * STRIDE), owners)
    return labels[: SIZE[1], : SIZE[0]], margin[: SIZE[1], : SIZE[0]]


@CUTS
@pytest.mark.parametrize("owners", [None, (0, 2, 1, 1, 0)])
def test_labels_of_bands_are_those_of_the_whole(cuts, owners):
    W = random_weights(0)
    bands = decoded(Decoding(SIZE, STRIDE, everywhere, owners), cuts, W)
    for name, expected in zip(("labels", "margin"), whole(W, owners), strict=True):
        np.testing.assert_array_equal(joined(bands, name), expected)
    np.testing.assert_array_equal(joined(bands, "weights"), by_owner(W, owners))


@CUTS
def test_what_is_unlike_the_bank_is_marked_across_bands(cuts):
    rng = np.random.default_rng(1)
    W, residual = random_weights(1), rng.random((ROWS, COLUMNS), np.float32)
    unreadable = rng.random((ROWS, COLUMNS)) < 0.2
    bands = decoded(Decoding(SIZE, STRIDE, everywhere, unlike=0.8), cuts, W, residual, unreadable)
    labels, _ = whole(W)
    labels[on_px(residual > 0.8)] = 6
    labels[on_px(unreadable)] = 0
    np.testing.assert_array_equal(joined(bands, "labels"), labels)
    tokens = np.concatenate([band.tokens.label for band in bands])
    np.testing.assert_array_equal(tokens, np.where(residual > 0.8, 6, W.argmax(-1) + 1))


@CUTS
def test_px_that_are_known_to_be_unlike_the_bank_are_taken_as_they_are(cuts):
    W, marked = random_weights(2), np.random.default_rng(2).random(SIZE[::-1]) < 0.3
    how = Decoding(SIZE, STRIDE, everywhere, unlike=0.8, unlike_px=lambda start, stop: marked[start:stop])
    labels, _ = whole(W)
    labels[marked] = 6
    np.testing.assert_array_equal(joined(decoded(how, cuts, W), "labels"), labels)


@CUTS
def test_only_tissue_has_labels(cuts):
    W, tissue = random_weights(3), np.random.default_rng(3).random(SIZE[::-1]) < 0.5
    bands = decoded(Decoding(SIZE, STRIDE, lambda start, stop: tissue[start:stop]), cuts, W)
    labels, margin = whole(W)
    np.testing.assert_array_equal(joined(bands, "labels"), labels * tissue)
    np.testing.assert_array_equal(joined(bands, "margin"), margin * tissue)


def test_unreadable_tokens_have_no_label():
    unreadable = np.zeros((ROWS, COLUMNS), bool)
    unreadable[10:12, 7:9] = True
    W = np.ones((ROWS, COLUMNS, 2), np.float32)
    bands = decoded(Decoding(SIZE, STRIDE, everywhere), list(range(1, ROWS)), W, unreadable=unreadable)
    np.testing.assert_array_equal(joined(bands, "labels") == 0, on_px(unreadable))


def test_what_the_maps_of_tokens_say():
    W = np.array([[[1, 3, 0], [0, 0, 0]]], np.float32)
    maps = token_maps(W, np.zeros((1, 2), np.float32), STRIDE)
    assert maps.label.tolist() == [[2, 0]]
    assert maps.share.tolist() == [[0.75, 0]]
    assert maps.margin.tolist() == [[np.float32(2 / 3), 0]]


def test_the_nearest_part_stands_for_its_union():
    assert by_owner(np.array([[1.0, 2, 3, 4]], np.float32), (0, 1, 1, 0)).tolist() == [[4, 3]]
