"""A worker as the process that leads sees it."""

import os

import psutil
import pytest

import histofactor

ray = pytest.importorskip("ray", reason="needs histofactor[ray]")
from histofactor.runs.execute.ray_cluster import open_cluster  # noqa: E402
from histofactor.runs.execute.ray_hand import Hand, is_preempted, make_worker, words_of  # noqa: E402
from histofactor.runs.execute.ray_layout import Layout  # noqa: E402


def test_the_class_travels_whole():
    """To machines without histofactor too."""
    from ray import cloudpickle

    assert "<locals>" in make_worker().__qualname__
    assert b"histofactor.runs.execute.ray_hand" in cloudpickle.dumps(Hand)  # by its name, as all else
    assert len(cloudpickle.dumps(make_worker())) > 1000


def test_it_says_who_it_is_and_what_it_said_last(ray_cluster, tmp_path):
    with open_cluster(ray_cluster.address, None) as cluster:
        assert not cluster.own
        cluster.check()
        hand = Hand(Layout(1, 1, 0.0), tmp_path, [str(tmp_path), str(tmp_path / "gone")])
        hello = hand.meet()
        assert hello.unseen == [str(tmp_path / "gone")]
        assert hello.versions["histofactor"] == histofactor.__version__
        assert psutil.pid_exists(hello.pid)
        assert hello.pid != os.getpid()
        assert hello.node in {node["NodeID"] for node in ray.nodes()}
        asked = hand.words()
        ray.wait([asked], timeout=60)
        assert words_of(asked) == ""
        hand.settle(None)
        hand.begin(b"no job")
        error = hand.begun()
        assert "unpickl" in type(error).__name__.lower()
        assert not hand.ready
        hand.give_up("why")
        hand.begin(b"more")
        with pytest.raises(ray.exceptions.RayActorError) as ended:
            hand.begun()
        assert not is_preempted(ended.value)
        assert hand.cause == "why"
