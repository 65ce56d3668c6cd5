"""A cluster of Ray with two machines, both of which are this one."""

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOON = {  # a machine that is lost is known in seconds
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}


@pytest.fixture(scope="session")
def soon():
    """Settings of Ray by which a lost machine is known in seconds."""
    return SOON


@pytest.fixture(scope="session")
def ray_cluster():
    """The cluster; its workers find histofactor and the modules of the tests where this process has them."""
    pytest.importorskip("ray", reason="needs histofactor[ray]")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        source = [str(TESTS.parent / "src"), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(source))
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        for name, value in SOON.items():
            patch.setenv(name, value)
        machine = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=machine)
        cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
        try:
            yield cluster
        finally:
            cluster.shutdown()
