"""Measuring with all processes of a cluster: each measures some batches of episodes."""

from typing import Callable, List

from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.evaluation.accuracy import Accuracy
from hypertransformer_tf.evaluation.protocol import Evaluator, accuracy_of
from hypertransformer_tf.training.peers import Peers


def measure_together(
    evaluator: Evaluator,
    peers: Peers,
    sampler: EpisodeSampler,
    episodes: int,
    query_batches: int = 1,
    before_each: Callable[[], object] = lambda: None,
) -> Accuracy:
    """What `evaluator.measure` gives, in every process; batches of episodes are dealt out by their number."""
    parts = len(peers.cluster.addresses)

    def check() -> None:
        peers.check()
        before_each()

    own = evaluator.accuracies(
        sampler, episodes, query_batches, part=peers.cluster.index, parts=parts, before_each=check
    )
    dealt: List[List[List[float]]] = peers.gather(own)
    batches = [dealt[number % parts][number // parts] for number in range(sum(map(len, dealt)))]
    return accuracy_of(peers.broadcast(batches).header["value"], episodes)
