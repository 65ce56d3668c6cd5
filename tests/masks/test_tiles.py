import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label

from histofactor.masks.tiles import read_tile, tissue_tiles

maps = arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.sampled_from([0, 0, 0, 0, 1, 2]))


@given(maps, st.integers(1, 4), st.integers(1, 4))
def test_every_px_with_a_label_lies_in_one_tile(labels, cell_px, cells):
    tiles = tissue_tiles(labels, cells * cell_px, cell_px)
    drawn = np.zeros_like(labels)
    times = np.zeros(labels.shape, int)
    piece = np.zeros(labels.shape, int)
    for tile in tiles:
        window = read_tile(labels, tile)
        assert max(window.shape) <= cells * cell_px
        drawn[tile.rows, tile.columns] += window
        times[tile.rows, tile.columns] += window > 0
        piece[tile.rows, tile.columns] += (window > 0) * tile.tissue_piece
    np.testing.assert_array_equal(drawn, labels)
    assert times.max() <= 1
    touching, count = label(labels > 0, structure=np.ones((3, 3)))
    assert all(len(set(piece[touching == i])) == 1 for i in range(1, count + 1))


def test_pieces_of_tissue_that_fit_a_tile_are_not_cut():
    labels = np.zeros((40, 40), np.uint8)
    labels[6:13, 7:14] = labels[20:27, 20:27] = labels[30:40, 2:3] = 1
    tiles = tissue_tiles(labels, 12, 2)
    assert [(tile.rows, tile.columns) for tile in tiles] == [
        (slice(6, 14), slice(6, 14)),
        (slice(20, 28), slice(20, 28)),
        (slice(30, 40), slice(2, 4)),
    ]
    assert [tile.tissue_piece for tile in tiles] == [1, 2, 3]


def test_tiles_of_large_tissue_are_even_and_empty_ones_are_left_out():
    labels = np.zeros((10, 42), np.uint8)
    labels[0, :] = labels[:, 0] = 1
    tiles = tissue_tiles(labels, 8, 1)
    assert {tile.columns.stop - tile.columns.start for tile in tiles} == {7}
    assert len(tiles) == 7
    assert tissue_tiles(np.zeros((5, 5), np.uint8), 8, 1) == []


def test_labels_of_other_tissue_are_hidden():
    labels = np.zeros((9, 9), np.uint8)
    labels[0, :] = labels[:, 0] = 1
    labels[4:6, 4:6] = 2
    frame, inside = tissue_tiles(labels, 9, 1)
    np.testing.assert_array_equal(read_tile(labels, frame), np.where(labels == 1, 1, 0))
    np.testing.assert_array_equal(read_tile(labels, inside), np.full((2, 2), 2))
    assert labels[4, 4] == 2
