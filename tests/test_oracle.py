"""The oracle: the same CNN, trained by gradient descent on a support set, and nothing learned beforehand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_baselines import CLASSES, CNN, LABELS, MASK, N_WAY, QUERY, SUPPORT
from small_model import SHAPE, assert_close
from small_runs import SMALL, experiment_of, noise, own_configuration, run_here, tree, write_gin

from hypertransformer_tf.baselines.build import build_baseline
from hypertransformer_tf.baselines.config import MamlConfig, MethodConfig, OracleConfig
from hypertransformer_tf.baselines.oracle import Oracle, Part, trained_tensors, with_tensors
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.cnn.run import run_cnn
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation.evaluate import evaluate
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.runs.metrics_file import read_metrics
from hypertransformer_tf.runs.restore import build_model
from hypertransformer_tf.training.train import train

SETTINGS = tuple(setting for setting in SMALL if not setting.startswith("optimizer."))
ORACLE = ("method.name = 'oracle'", "training.steps = 0", "oracle.steps = 20", "episodes.k_shot = 4")


def make_oracle(cnn: CnnConfig = CNN, **settings) -> Oracle:
    return build_baseline(MethodConfig("oracle"), MamlConfig(), OracleConfig(**settings), cnn, SHAPE, N_WAY, CLASSES)


def _by_keras(model: Oracle, episode: int, steps: int):
    """One episode's CNN, trained by Keras' own gradient descent on all its labelled samples at once."""
    initial = model.generate(SUPPORT, LABELS)  # for its form only
    begin = [*(layer for layer in model.convolutions.values()), model.logits.add_to(None)]
    tensors = [t for layer in begin[:-1] for t in (layer.kernel, layer.gamma, layer.beta)] + [*begin[-1]]
    variables = [tf.Variable(tensor) for tensor in tensors]
    schedule = keras.optimizers.schedules.CosineDecay(model.oracle.learning_rate, steps)
    optimizer = keras.optimizers.SGD(schedule, momentum=model.oracle.momentum)
    images = tf.cast(SUPPORT[episode : episode + 1], tf.float32) / 128.0 - 1.0
    labels, known = LABELS[episode], LABELS[episode] >= 0
    for _ in range(steps):
        with tf.GradientTape() as tape:
            weights = with_tensors(initial, [tf.convert_to_tensor(variable) for variable in variables])
            logits = run_cnn(images, weights, model.architecture, "relu", form="plain")[0][0]
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels[known], logits[known])
            loss = tf.reduce_mean(losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    return variables


def test_each_episodes_cnn_is_what_keras_gradient_descent_makes_of_it():
    model = make_oracle(steps=4, learning_rate=0.05)
    learned = trained_tensors(model.generate(SUPPORT, LABELS))
    for episode in range(len(SUPPORT)):
        for ours, theirs in zip(learned, _by_keras(model, episode, steps=4), strict=True):
            assert_close(ours[episode], theirs[0], 1e-3)


def test_nothing_stays_on_the_model_and_the_same_again_is_the_same():
    model = make_oracle(steps=3, batch=4)
    before = {name: np.array(variable) for name, variable in model.named_variables().items()}
    first, second = (model.classify(QUERY, model.generate(SUPPORT, LABELS)) for _ in range(2))
    assert np.array_equal(first, second)
    assert all(np.array_equal(np.array(value), before[name]) for name, value in model.named_variables().items())


def test_a_step_sees_a_part_of_the_support_set_and_every_sample_has_its_turn():
    model = make_oracle(steps=3, batch=4)
    samples = tf.range(14.0)[tf.newaxis, :]
    support = Part(samples[..., tf.newaxis], samples[..., tf.newaxis], tf.cast(samples > 7.0, tf.float32))
    parts = [model._part(tf.constant(step), support) for step in range(20)]
    seen = [set(map(int, np.ravel(part.images))) for part in parts]
    assert all(len(part) == 4 for part in seen) and len(set(map(frozenset, seen))) > 10
    assert set().union(*seen) == set(range(14))
    for images, members, mask in parts:
        ignored = np.ravel(images) > 7.0
        assert np.array_equal(images, members) and np.array_equal(mask[0], ignored & ~ignored.all())


@pytest.mark.parametrize("batch", [5, 1])  # with one there are steps in which an episode has none that counts
@pytest.mark.parametrize("normalisation", ["support", pytest.param("task", marks=pytest.mark.slow)])
def test_masked_samples_change_nothing(normalisation, batch):
    model = make_oracle(CnnConfig(channels=2, normalisation=normalisation), steps=6, batch=batch)
    others = np.where(MASK[..., np.newaxis, np.newaxis, np.newaxis] == 1, 255 - SUPPORT, SUPPORT).astype(np.uint8)
    learned, from_others = (trained_tensors(model.generate(images, LABELS, MASK)) for images in (SUPPORT, others))
    for ours, theirs in zip(learned, from_others, strict=True):
        assert np.isfinite(ours).all() and np.array_equal(ours, theirs)
    unmasked = trained_tensors(model.generate(others, LABELS))
    assert not all(np.allclose(ours, theirs) for ours, theirs in zip(learned, unmasked, strict=True))


def test_it_tells_patterns_apart_that_it_was_not_trained_on():
    cnn = ("cnn.architecture = 'maxpool-4-layer'", "cnn.stride = 1", "cnn.channels = 4")
    experiment = experiment_of(*ORACLE, *cnn, "oracle.steps = 60", "episodes.n_way = 3", settings=SETTINGS)
    images = noise(3, 8)
    with_pattern = images.images.copy()
    for index in range(3):  # a bright bar of its own place in every class, on noise
        with_pattern[8 * index : 8 * index + 8, 8 * index : 8 * index + 8] = 255
    object.__setattr__(images, "images", with_pattern)
    sampler = experiment.training_sampler(images)
    assert Evaluator(build_model(experiment, images), compile=False).measure(sampler, 4).mean > 0.9


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("oracle")
    gin_file = write_gin(folder / "oracle.gin", *ORACLE, "evaluation.episodes = 4", settings=SETTINGS)
    with own_configuration():
        return gin_file, folder / "run", train(gin_file, run_dir=str(folder / "run"))


@pytest.mark.slow
def test_a_run_trains_nothing_and_measures_on_the_test_classes(finished):
    _, run_dir, result = finished
    assert 0 <= result.test.mean <= 1 and result.test.episodes == 4
    lines = read_metrics(run_dir / "metrics.jsonl")
    assert [line["step"] for line in lines] == [0] and lines[0]["test/accuracy"] == result.test.mean


@pytest.mark.slow
def test_a_finished_run_is_measured_on_the_training_classes_too(finished):
    _, run_dir, result = finished
    with own_configuration():
        on_test = evaluate(str(run_dir), episodes=4, query_batches=1)
        on_train = evaluate(str(run_dir), split="train", episodes=4, query_batches=1)
    assert on_test.accuracy == result.test.mean and 0 <= on_train.accuracy <= 1 and on_train.step == 0


@pytest.mark.slow
def test_the_same_command_again_measures_nothing_again(finished, monkeypatch):
    gin_file, run_dir, _ = finished
    before = (run_dir / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(Evaluator, "measure", None)
    assert run_here(monkeypatch, "train", f"--gin_file={gin_file}", f"--run_dir={run_dir}") == 0
    assert (run_dir / "metrics.jsonl").read_bytes() == before


def test_steps_of_meta_training_are_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(UserError, match="training.steps = 6 would have no effect.*'oracle' is not meta-trained"):
        experiment_of("method.name = 'oracle'", settings=SETTINGS)
    with pytest.raises(UserError, match="loss.label_smoothing = 0.1 would have no effect"):
        experiment_of(*ORACLE, "loss.label_smoothing = 0.1", settings=SETTINGS)
    with pytest.raises(UserError, match="training.steps = 0: it must be a whole number, at least 1"):
        experiment_of("training.steps = 0", settings=SETTINGS)
    gin_file = write_gin(tmp_path / "oracle.gin", *ORACLE, settings=SETTINGS)
    assert run_here(monkeypatch, "benchmark", f"--gin_file={gin_file}") == 2
    assert "not meta-trained: there is no step to measure" in capsys.readouterr().err
    assert list(tree(tmp_path)) == ["oracle.gin"]


@pytest.mark.slow
def test_xla_compiles_it():
    # Few steps, as later ones are apart by rounding, each on all samples, as XLA's random numbers are not TensorFlow's.
    model = make_oracle(steps=2, batch=7, learning_rate=0.05)
    compiled = tf.function(model.generate, jit_compile=True, autograph=False)
    learned = compiled(SUPPORT, LABELS)
    assert_close(learned, model.generate(SUPPORT, LABELS), 1e-4)
    before = [layer.kernel for layer in model.convolutions.values()]
    assert min(np.abs(layer.kernel - each).max() for layer, each in zip(learned.convolutions, before)) > 1e-2
