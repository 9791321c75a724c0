"""Measuring on several devices of one process: the same accuracies as on one, each device its own batches."""

import os
import subprocess
import sys

import pytest

_MEASURE = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np
import tensorflow as tf
from layer_checks import randomise
from small_runs import TINY, experiment_of, glyphs
from hypertransformer_tf.evaluation import protocol
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.runs.restore import build_model
from hypertransformer_tf.training.strategy import make_strategy

protocol.EPISODES_AT_ONCE = 2
strategy = make_strategy("mirrored")
experiment, images = experiment_of(settings=TINY), glyphs()
with strategy.scope():
    model = randomise(build_model(experiment, images))
sampler = experiment.evaluation_sampler(images, "test")
asked = []


class Watched:
    def generate(self, images, labels, n_way):
        asked.append(str(tf.distribute.get_replica_context().devices))
        return model.generate(images, labels, n_way=n_way)

    def classify(self, images, weights):
        return model.classify(images, weights)


all_devices = Evaluator(Watched(), {compile}, strategy)
one_device = Evaluator(model, {compile})
for episodes, query_batches, how in ((9, 1, "together"), (4, 2, "by_class")):
    together = all_devices.accuracies(sampler, episodes, query_batches, how)
    alone = one_device.accuracies(sampler, episodes, query_batches, how)
    assert [len(batch) for batch in together] == [2] * -(-episodes // 2), together
    assert 0 < np.mean(alone) < 1
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
odd = all_devices.accuracies(sampler, 9, part=1, parts=2)
np.testing.assert_allclose(odd, one_device.accuracies(sampler, 9, part=1, parts=2), rtol=0, atol=1e-6)
assert len(set(asked)) == {devices}, asked
"""


@pytest.mark.parametrize("devices, compile", [(2, False), (4, True)])
def test_several_devices_measure_what_one_does(devices, compile):
    tests = os.path.dirname(os.path.abspath(__file__))
    program = _MEASURE.format(tests=tests, devices=devices, compile=compile)
    environment = {**os.environ, "HT_VIRTUAL_DEVICES": str(devices), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
