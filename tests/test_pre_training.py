"""What a run may begin with: another run's shared features, if that has not seen the classes measured on."""

import json

import numpy as np
import pytest
from small_runs import noise

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.runs.checkpoints import save_checkpoint
from hypertransformer_tf.runs.data_record import describe_data
from hypertransformer_tf.training.pre_training import pre_trained

MINE = {
    "classes": {"train": ["a"], "validation": ["b"], "test": ["c"]},
    "counts": {"train": [1], "validation": [1], "test": [1]},
}


def _other(path, *train):
    record = {**describe_data(noise(2, 2)), "classes": {"train": list(train), "validation": [], "test": ["c"]}}
    (path / "data.json").write_text(json.dumps(record))
    save_checkpoint(path / "checkpoints", 4, {"model/shared_features/kernel": np.ones(2, np.float32)}, {})
    return str(path)


def test_classes_of_training_may_be_shared(tmp_path):
    assert pre_trained(_other(tmp_path, "a", "x"), MINE).step == 4


@pytest.mark.parametrize("name, split", [("b", "validation"), ("c", "test")])
def test_classes_measured_on_may_not(tmp_path, name, split):
    with pytest.raises(UserError, match=f"trained on 1 {split} classes of this run, '{name}' among them"):
        pre_trained(_other(tmp_path, "a", name), MINE)


def test_a_run_that_does_not_say_what_it_was_trained_on_is_refused(tmp_path):
    source = _other(tmp_path, "a")
    (tmp_path / "data.json").unlink()
    with pytest.raises(UserError, match="has no data.json"):
        pre_trained(source, MINE)


@pytest.mark.parametrize("name", ["no/such/run", "x" * 300])
def test_what_is_no_run_is_refused(name):
    with pytest.raises(UserError, match="give a run directory"):
        pre_trained(name, MINE)
