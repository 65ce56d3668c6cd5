"""What a pair is called."""

from dataclasses import replace

from small_pairs import exact_pair


def test_a_pair_tells_its_revision_where_there_is_one():
    pair = exact_pair()
    assert str(pair) == "exact (1)"
    assert str(replace(pair, revision="sha256:" + "0" * 64)) == "exact (sha256:000000000000)"
    assert str(replace(pair, revision="")) == "exact"
