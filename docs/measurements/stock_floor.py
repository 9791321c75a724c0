"""A whole training step against the floor of stock operations: a fixed CNN of the same shape on as many images.

    python docs/measurements/stock_floor.py --gin_file=gin/omniglot_4layer_fast.gin

The floor is forward and backward of conv2d, relu, max_pool2d and fused batch norm, once over the support and query
images of an episode, with the loss on all of them: no transformer, no second pass, no update. The two take turns in one
process, so that the machine's moods meet both. Prints milliseconds an episode of each, and the step's ratios to the
floor, with TensorFlow's own operations and compiled by XLA, round by round.
"""

import argparse
import itertools
import time
from typing import Callable

import numpy as np
import tensorflow as tf

from hypertransformer_tf.cnn.architecture import build_architecture
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.kept_memory import keep_freed_memory
from hypertransformer_tf.training.build import build_training
from hypertransformer_tf.training.placement import place

WARM_UP = 3  # steps


def stock_step(
    experiment: Experiment, channels: int, compile: bool, episodes: int
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Loss and gradients of a fixed maxpool-4-layer CNN, in stock operations, on the images of some episodes."""
    width, kernels, scales = experiment.cnn.channels, [], []
    for _ in range(4):
        kernels.append(tf.Variable(tf.random.normal((3, 3, channels, width), stddev=0.1)))
        scales.append((tf.Variable(tf.ones(width)), tf.Variable(tf.zeros(width))))
        channels = width
    dense = tf.Variable(tf.random.normal((_last_size(experiment.data.image_size) * width, experiment.episodes.n_way)))

    def loss(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        for kernel, (gamma, beta) in zip(kernels, scales):
            images = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME"))
            images = tf.nn.max_pool2d(images, 2, 2, "VALID")
            images = tf.compat.v1.nn.fused_batch_norm(images, gamma, beta, epsilon=1e-3, is_training=True)[0]
        logits = tf.reshape(images, (tf.shape(images)[0], -1)) @ dense
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    variables = [*kernels, *itertools.chain(*scales), dense]

    @tf.function(jit_compile=compile)
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            total = tf.add_n([loss(images[episode], labels[episode]) for episode in range(episodes)])
        return tf.add_n([tf.reduce_sum(each) for each in tape.gradient(total, variables)])

    return step


def _last_size(side: int) -> int:
    for _ in range(4):
        side //= 2
    return side * side


def seconds_of(run: Callable[[], object], steps: int) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        result = run()
    np.asarray(result)
    return (time.perf_counter() - started) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gin_file", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="of each, in a round")
    flags = parser.parse_args()
    keep_freed_memory()  # as training does
    experiment = load_experiment(flags.gin_file)
    images = load_images(experiment.data, experiment.episodes.most_classes)
    build_architecture(experiment.cnn, images.image_shape)
    parts, size = build_training(experiment, images, "one_device"), experiment.training.task_batch
    batch = experiment.training_sampler(images).task_batch(0, size)
    placed = place(batch, parts.strategy, size)
    pictures = tf.cast(np.concatenate([batch.support_images, batch.query_images], 1), tf.float32) / 128 - 1
    labels = tf.constant(np.concatenate([batch.support_labels, batch.query_labels], 1))
    measured = {"training step": lambda: parts.step(placed, 0).total}
    for name, compile in (("floor, stock operations", False), ("floor, with XLA", True)):
        stock = stock_step(experiment, images.image_shape[2], compile, size)
        measured[name] = lambda stock=stock: stock(pictures, labels)
    for run in measured.values():
        seconds_of(run, WARM_UP)
    print("| round | " + " | ".join(f"{name}, ms an episode" for name in measured) + " | step / floor | with XLA |")
    print("| --- " * (3 + len(measured)) + "|")
    ratios = []
    for number in range(1, flags.rounds + 1):
        times = [1000 * seconds_of(run, flags.steps) / size for run in measured.values()]
        ratios.append([times[0] / floor for floor in times[1:]])
        print(f"| {number} | " + " | ".join(f"{each:.2f}" for each in [*times, *ratios[-1]]) + " |", flush=True)
    print("\nMedian ratios " + " and ".join(f"{each:.2f}" for each in np.median(ratios, axis=0)))


if __name__ == "__main__":
    main()
