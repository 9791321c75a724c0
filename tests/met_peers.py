"""Processes of a cluster as threads of this one, with a connection each."""

import logging
import threading

from small_clusters import free_ports

from hypertransformer_tf.training.cluster import Cluster
from hypertransformer_tf.training.peer_watch import Timing
from hypertransformer_tf.training.peers import Peers
from hypertransformer_tf.training.rendezvous import meet_chief, meet_workers

FAST = Timing(beat=0.05, silence=0.5, grace=0.3)


def together(*functions):
    """What functions return, or raise, that run at the same time."""
    results = [None] * len(functions)

    def run(index):
        try:
            results[index] = functions[index]()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "it hangs"
    return results


def met(count, leave=None, timing=FAST):
    """Peers of a cluster, by index."""
    ports = free_ports(count)
    clusters = [Cluster(tuple(f"127.0.0.1:{port}" for port in ports), index) for index in range(count)]
    chief = lambda: meet_workers(clusters[0], lambda greeting: None, 10, logging.warning)  # noqa: E731
    workers = [lambda each=each: {0: meet_chief(each, {}, 10, logging.warning)} for each in clusters[1:]]
    connections = together(chief, *workers)
    return [Peers(each, met, leave or (lambda *end: None), timing) for each, met in zip(clusters, connections)]


def each_of(peers, function):
    """Results of a function of every process's peers, within `with`."""

    def run(each):
        with each:
            return function(each)

    return together(*(lambda each=each: run(each) for each in peers))
