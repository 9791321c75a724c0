"""Measuring the model on meta-validation classes while it trains."""

from typing import Callable, Dict, Mapping, Optional, Union

from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.evaluation.protocol import Evaluator
from hypertransformer_tf.training.peers import Peers
from hypertransformer_tf.training.shared_evaluation import measure_together


class Validation:
    """Measures when asked, and knows the best accuracy so far.

    One that is given up, as somebody asked the program to stop, is noted in the checkpoint: the run that goes on from
    it measures first, then continues as if it had never stopped. With several processes only one that was asked before
    it began is given up.

    Args:
      sampler: meta-validation episodes; None for no validation.
      episodes: how many of them.
      evaluator: of the model that is trained.
      peers: the other processes, which measure their parts.

    Attributes:
      best: the highest accuracy, from 0 to 1; -1 before the first.
      pending: whether the last one was given up.
    """

    def __init__(self, sampler: Optional[EpisodeSampler], episodes: int, evaluator: Evaluator, peers: Peers):
        self._sampler, self._episodes, self._evaluator, self._peers = sampler, episodes, evaluator, peers
        self.best, self.pending = -1.0, False

    @property
    def has_episodes(self) -> bool:
        """Whether there is anything to measure."""
        return self._sampler is not None

    @property
    def metadata(self) -> Dict[str, Union[float, int]]:
        """What `restore` takes."""
        return {"best_validation": self.best, **({"validation_pending": 1} if self.pending else {})}

    def restore(self, metadata: Mapping[str, Union[str, float, int]]) -> None:
        """Takes over what a checkpoint's metadata say."""
        self.best = float(metadata.get("best_validation", -1.0))
        self.pending = bool(metadata.get("validation_pending", False))

    def measure(self, stop: Callable[[], bool]) -> Optional[Accuracy]:
        """The accuracy; None, with the validation pending, once `stop` says so.

        Args:
          stop: asked again and again. Where there are other processes its answer is the same in all of them and does
            not change meanwhile.
        """
        assert self._sampler is not None
        self.pending = True
        if stop():  # here for a process that has no part to measure, too
            return None

        def give_up_or_go_on() -> None:
            if stop():
                raise _GivenUp

        try:
            accuracy = measure_together(
                self._evaluator, self._peers, self._sampler, self._episodes, before_each=give_up_or_go_on
            )
        except _GivenUp:
            return None
        self.pending = False
        return accuracy


class _GivenUp(Exception):
    pass
