"""Task batches are on their devices before a step asks for them."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from small_runs import ROOT, experiment_of, glyphs, train_here, write_gin

from hypertransformer_tf.training import placement
from hypertransformer_tf.training.placement import PlacedBatch, place
from hypertransformer_tf.training.strategy import make_strategy


def test_a_placed_batch_holds_what_was_drawn():
    batch = experiment_of().training_sampler(glyphs()).task_batch(0, 2)
    placed = place(batch, make_strategy("one_device"), 2)
    assert placed.n_way == 2
    for ours, theirs in zip(placed.values, batch):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_training_places_batches_on_the_thread_that_draws_them(tmp_path, monkeypatch):
    threads, seen = set(), set()

    def noted(*arguments):
        threads.add(threading.current_thread().name)
        placed = place(*arguments)
        seen.add(type(placed))
        return placed

    monkeypatch.setattr(placement, "place", noted)
    train_here(write_gin(tmp_path / "tiny.gin"), tmp_path / "run", steps=2)
    assert threads == {"prefetcher"} and seen == {PlacedBatch}


@pytest.mark.slow
def test_batches_lie_on_the_devices_that_compute_them():
    program = """
import pytest
import tensorflow as tf
from small_runs import experiment_of, glyphs
from hypertransformer_tf.training.placement import place
from hypertransformer_tf.training.strategy import make_strategy
batch = experiment_of().training_sampler(glyphs()).task_batch(0, 4)
two = make_strategy("mirrored")
for strategy in (two, tf.distribute.OneDeviceStrategy("CPU:1")):
  for images in strategy.experimental_local_results(place(batch, strategy, 4).values.query_images):
    print(images.device[-5:], images.shape[0])
"""
    environment = {**os.environ, "HT_VIRTUAL_DEVICES": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["CPU:0 2", "CPU:1 2", "CPU:1 4", ""]
