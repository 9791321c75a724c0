"""Which processes the environment names, and what is said where it names none; without TensorFlow."""

import json

import pytest

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.training.cluster import Cluster, host_and_port, read_cluster
from hypertransformer_tf.training.slurm import expand_counts, expand_nodes

ADDRESSES = ["a:1", "b:2", "c:3"]
STEP = {
    "SLURM_JOB_ID": "7",
    "SLURM_PROCID": "3",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_STEP_NODELIST": "n[2,10],m",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
}


def _of(cluster, **task):
    return read_cluster({"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})})


def test_workers_are_those_of_tf_config_and_the_first_is_the_chief():
    assert _of({"worker": ADDRESSES}, type="worker", index=1) == Cluster(("a:1", "b:2", "c:3"), 1)
    assert _of({"worker": ADDRESSES}, type="worker", index="0").is_chief  # some schedulers write it so


def test_a_chief_of_its_own_comes_before_the_workers():
    jobs = {"worker": ["b:2", "c:3"], "chief": ["a:1"]}
    assert _of(jobs, type="chief", index=0) == Cluster(("a:1", "b:2", "c:3"), 0)
    assert _of(jobs, type="worker", index=1) == Cluster(("a:1", "b:2", "c:3"), 2)


@pytest.mark.parametrize(
    "text, says",
    [
        ("{'cluster'", "TF_CONFIG is not JSON"),
        ("[]", "names no workers"),
        ('{"task": {"type": "worker", "index": 0}}', "names no workers"),
        ('{"cluster": {"worker": ["a:1"]}}', "does not say which of the workers this process is"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}', "does not say which of the workers"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "its cluster has 1 of that type"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}', "its cluster has 1 of that type"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', "its cluster has 0 of that type"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": [], "index": 0}}', "its cluster has 0 of that type"),
        ('{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}', "give a list of host:port"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "the address 'a'"),
        ('{"cluster": {"worker": ["a:0"]}, "task": {"type": "worker", "index": 0}}', "the address 'a:0'"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}', "names a:1 twice"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "of the type 'ps'"),
        ('{"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}', "names 2 chiefs"),
    ],
)
def test_a_tf_config_that_is_not_right_is_one_sentence(text, says):
    with pytest.raises(UserError, match=says) as caught:
        read_cluster({"TF_CONFIG": text})
    assert "\n" not in str(caught.value)


def test_without_any_cluster_both_ways_to_name_one_are_said():
    with pytest.raises(UserError, match="needs the environment variable TF_CONFIG.* or a Slurm step"):
        read_cluster({})


def test_tasks_of_a_slurm_step_are_counted_as_slurm_ranks_them():
    assert read_cluster(STEP) == Cluster(("n2:8888", "n2:8889", "n10:8888", "n10:8889", "m:8888"), 3)
    assert read_cluster({**STEP, "HT_PORT": "3000"}).addresses[1] == "n2:3001"


def test_cyclic_ranks_of_a_slurm_step_go_round_the_nodes():
    cyclic = read_cluster({**STEP, "SLURM_DISTRIBUTION": "cyclic:block"})
    assert cyclic.addresses == ("n2:8888", "n10:8888", "m:8888", "n2:8889", "n10:8889")
    assert read_cluster({**STEP, "SLURM_DISTRIBUTION": "block:cyclic"}) == read_cluster(STEP)


def test_tf_config_counts_before_slurm():
    config = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    assert read_cluster({**STEP, "TF_CONFIG": json.dumps(config)}).addresses == ("a:1",)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"SLURM_STEP_NODELIST": None}, "SLURM_STEP_NODELIST is not set: start the workers by srun"),
        ({"SLURM_STEP_NUM_TASKS": "4"}, "do not agree"),
        ({"SLURM_PROCID": "5"}, "do not agree"),
        ({"SLURM_STEP_NODELIST": "n[1"}, "cannot be read"),
        ({"SLURM_STEP_TASKS_PER_NODE": "two"}, "cannot be read"),
        ({"HT_PORT": "http"}, "HT_PORT=http"),
        ({"SLURM_DISTRIBUTION": "plane=2"}, "SLURM_DISTRIBUTION=plane=2: .*--distribution=block"),
    ],
)
def test_slurm_variables_that_are_not_right_are_one_sentence(changes, says):
    environment = {name: value for name, value in {**STEP, **changes}.items() if value is not None}
    with pytest.raises(UserError, match=says):
        read_cluster(environment)


def test_lists_of_nodes_and_counts():
    assert list(expand_nodes("a[1-3,07-08],b")) == ["a1", "a2", "a3", "a07", "a08", "b"]
    assert expand_counts("3(x2),2,1") == [3, 3, 2, 1]


def test_an_ipv6_host_stands_in_brackets():
    assert host_and_port("[::1]:80") == ("::1", 80) and host_and_port("host:80") == ("host", 80)
