"""Measuring a trained run: what bin/evaluate and notebooks call. Presets: `deployment/preset_accuracy.py`."""

import dataclasses
import logging
import pathlib
from typing import Any, Dict, Optional

from hypertransformer_tf.config import origins_said
from hypertransformer_tf.config_checks import require_whole_number
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.evaluation.asked import check_asked
from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.quiet_import import import_quietly
from hypertransformer_tf.runs.checkpoints import load_for_use
from hypertransformer_tf.runs.data_record import check_same_data, describe_data
from hypertransformer_tf.runs.run_directory import read_configuration


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Accuracy of a run or a preset.

    Attributes:
      run_dir, step: which model: the run and its training step; None for a preset.
      split: which classes.
      n_way, k_shot, queries_per_class, unlabelled_per_class, disjoint_queries: the episodes.
      episodes, query_batches: how many, and query sets per episode.
      asked: whether the pictures of a query set were asked about together.
      accuracy: mean over episodes, from 0 to 1.
      interval_95: half the width of its 95% interval.
      model: which model, if it is a preset: its name.
    """

    run_dir: Optional[str]
    step: Optional[int]
    split: str
    n_way: int
    k_shot: int
    queries_per_class: int
    unlabelled_per_class: int
    disjoint_queries: bool
    episodes: int
    query_batches: int
    asked: str
    accuracy: float
    interval_95: float
    model: Optional[str] = None

    @classmethod
    def of(cls, accuracy: Accuracy, drawn: EpisodeConfig, **which: Any) -> "Evaluation":
        """What was measured on such episodes; `which` are the other attributes."""
        return cls(
            n_way=drawn.n_way,
            k_shot=drawn.k_shot,
            queries_per_class=drawn.queries_per_class,
            unlabelled_per_class=drawn.unlabelled_per_class,
            disjoint_queries=drawn.disjoint_queries,
            accuracy=accuracy.mean,
            interval_95=accuracy.interval_95,
            **which,
        )

    def __str__(self) -> str:
        name = f"{self.run_dir}, step {self.step}" if self.model is None else f"preset {self.model}"
        return (
            f"{name}: {self.n_way}-way {self.k_shot}-shot accuracy on {self.split} classes "
            f"{100 * self.accuracy:.2f}% +- {100 * self.interval_95:.2f} "
            f"({self.episodes} episodes x {self.query_batches} query batches"
            + ("" if self.asked == "together" else f", asked {self.asked.replace('_', ' ')}")
            + ("" if self.disjoint_queries else ", some queries being support pictures")
            + ")"
        )


def evaluate(
    run_dir: str,
    split: str = "test",
    episodes: int = 1024,
    query_batches: int = 16,
    data_dir: Optional[str] = None,
    n_way: Optional[int] = None,
    k_shot: Optional[int] = None,
    asked: str = "together",
    disjoint_queries: Optional[bool] = None,
    queries_per_class: Optional[int] = None,
) -> Evaluation:
    """Measures the best checkpoint of a run (the newest, if none was validated).

    Args:
      run_dir: the run's directory; it is only read.
      split: `train`, `validation` or `test`.
      episodes: how many, at least 2; this default and the next are the authors' protocol.
      query_batches: query sets asked per episode.
      data_dir: where prepared TFDS data lies, if elsewhere than in training.
      n_way, k_shot: of the episodes, if others than the run's.
      asked: `together`, `alone`, `in_fives` or `by_class`; see `evaluation/protocol.py`.
      disjoint_queries: of the episodes, if otherwise than in the run.
      queries_per_class: of the episodes, if another number than the run's `evaluation.queries_per_class`, or where that
        is None than in its training. The authors' query sets for evaluation have 100 images.

    Raises:
      UserError: the directory is no run, has no checkpoint yet or trained only shared features, its data changed, the
        split has too few classes, n_way is more than the model was made for, or the queries are not made of fives.
    """
    require_whole_number("episodes", episodes, at_least=2)
    require_whole_number("query_batches", query_batches, at_least=1)
    experiment = _experiment_of(run_dir, data_dir)
    if experiment.loss.only_shared_head:
        raise UserError(
            f"The run in {run_dir} trained its shared features only (loss.only_shared_head = True): there is no CNN to "
            "measure; begin another run with them by training.shared_features_from."
        )
    given = {
        "n_way": n_way,
        "k_shot": k_shot,
        "disjoint_queries": disjoint_queries,
        "queries_per_class": queries_per_class,
    }
    others: Dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    episodes_asked = dataclasses.replace(experiment.measured_episodes, mixture=(), **others)
    most = experiment.episodes.most_classes
    if episodes_asked.n_way > most:
        raise UserError(f"{episodes_asked.n_way}-way episodes: the model in {run_dir} tells 2 to {most} classes apart.")
    check_asked(asked, episodes_asked.n_way * episodes_asked.queries_per_class)
    images = load_images(experiment.data, most)
    check_same_data(run_dir, describe_data(images), "take the change back to measure it")
    with origins_said({**experiment.origins, **{f"episodes.{name}": f"--{name}" for name in others}}):
        sampler = experiment.evaluation_sampler(images, split, episodes_asked)
    checkpoint = load_for_use(pathlib.Path(run_dir) / "checkpoints", logging.warning)
    if checkpoint is None:
        raise UserError(f"{run_dir} has no checkpoint yet: train it first, with bin/train.")
    import_quietly("tensorflow")
    from hypertransformer_tf.evaluation.protocol import Evaluator
    from hypertransformer_tf.runs.restore import restore_for_use

    evaluator = Evaluator(restore_for_use(experiment, images, checkpoint), experiment.training.compile)
    accuracy = evaluator.measure(sampler, episodes, query_batches, asked)
    return Evaluation.of(
        accuracy,
        episodes_asked,
        run_dir=str(run_dir),
        step=checkpoint.step,
        split=split,
        episodes=episodes,
        query_batches=query_batches,
        asked=asked,
    )


def _experiment_of(run_dir: str, data_dir: Optional[str]) -> Experiment:
    read_configuration(run_dir)  # says so in a sentence if this is no run
    return load_experiment(str(pathlib.Path(run_dir).absolute() / "config.gin"), data_dir=data_dir)
