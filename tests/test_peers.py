"""What the processes of a cluster tell each other and agree on; here they are threads."""

import os
import signal

import numpy as np
import pytest
from met_peers import each_of, met, together

from hypertransformer_tf.runs.checkpoints import Checkpoint
from hypertransformer_tf.training.interruption import Interruption, ended_by_sigterm
from hypertransformer_tf.training.joining import share_checkpoint
from hypertransformer_tf.training.peers import Peers
from hypertransformer_tf.training.shared_evaluation import measure_together
from hypertransformer_tf.training.validation import Validation


def test_what_the_chief_says_all_hear_and_what_all_say_the_chief_hears():
    def talk(each):
        heard = each.broadcast({"x": each.cluster.index}, b"12" * 10**6)
        return heard.header["value"], len(heard.payload), each.gather(10 * each.cluster.index)

    assert each_of(met(3), talk) == [
        ({"x": 0}, 2 * 10**6, [0, 10, 20]),
        ({"x": 0}, 2 * 10**6, []),
        ({"x": 0}, 2 * 10**6, []),
    ]


def test_all_stop_at_the_same_step_when_one_was_interrupted():
    def train(each):
        interruption = Interruption(each, every=5)
        for step in range(1, 100):
            if each.cluster.index == 1 and step == 7:
                interruption.received = 15
            if interruption.due(step):
                try:
                    interruption.raise_if_received("text")
                except SystemExit as stop:
                    return step, stop.code

    assert each_of(met(3), train) == [(10, 143)] * 3


def test_a_signal_that_came_too_late_to_be_asked_about_acts_at_the_end():
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with Interruption() as interruption:
            assert not interruption.due(1, ask=True)
            os.kill(os.getpid(), signal.SIGTERM)
            assert interruption.received == signal.SIGTERM and not came
        assert came == [signal.SIGTERM]
        with Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGTERM)
            assert interruption.due(1)
        assert came == [signal.SIGTERM]  # whoever asked knows
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_ends_the_block_once_and_its_handler_is_given_back():
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        ours = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as caught, ended_by_sigterm():
            with Interruption():
                pass
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
        assert caught.value.code == 143 and not came
        assert signal.getsignal(signal.SIGTERM) is ours
        assert together(lambda: _within(ended_by_sigterm())) == [ours]  # only the main thread may handle signals
    finally:
        signal.signal(signal.SIGTERM, before)


def _within(context):
    with context:
        return signal.getsignal(signal.SIGTERM)


def test_alone_a_process_answers_itself():
    with Peers.alone() as alone:
        assert alone.is_chief and not alone.are_there
        assert alone.gather(3) == [3] and alone.broadcast(4).header["value"] == 4
        assert alone.agree_to_stop(None) is None and alone.agree_to_stop(15) == 15
        with pytest.raises(ZeroDivisionError):
            alone.explain(ZeroDivisionError())


def test_a_checkpoint_reaches_all_bit_for_bit(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7, np.int64)}
    checkpoint = Checkpoint(tmp_path / "checkpoint", 12, arrays, {"best_validation": 0.1 + 0.2})
    shared = each_of(met(2), lambda each: share_checkpoint(each, checkpoint if each.is_chief else None))
    for each in shared:
        assert (each.step, each.metadata) == (12, {"best_validation": 0.1 + 0.2})
        assert all(each.arrays[name].tobytes() == arrays[name].tobytes() for name in arrays)
        assert each.arrays["b"].shape == () and each.arrays["a"].shape == (2, 3)
    assert each_of(met(2), lambda each: share_checkpoint(each, None)) == [None, None]


@pytest.mark.parametrize("episodes", [2, 7, 9])
def test_an_accuracy_measured_together_is_the_one_measured_alone(episodes):
    class Halves:
        """Batches of two episodes, whose accuracies are their numbers over 10."""

        def accuracies(self, sampler, episodes, query_batches, part=0, parts=1, before_each=None):
            return [[2 * n / 10, (2 * n + 1) / 10] for n in range(part, -(-episodes // 2), parts)]

    alone = measure_together(Halves(), Peers.alone(), None, episodes)
    assert alone.mean == pytest.approx(np.mean(np.arange(episodes) / 10)) and alone.episodes == episodes
    assert each_of(met(3), lambda each: measure_together(Halves(), each, None, episodes)) == [alone] * 3


@pytest.mark.parametrize("comes, given_up", [("before they ask", True), ("once they measure", False)])
def test_a_validation_is_given_up_by_all_processes_or_by_none(comes, given_up):
    class Asked:
        """Three batches of one episode dealt out to the processes; each asks before its batch whether to stop."""

        def accuracies(self, sampler, episodes, query_batches, part=0, parts=1, before_each=None):
            before_each()
            return [[0.5]]

    def validate(each):
        interruption = Interruption(each, every=100)

        def stop():
            if comes == "once they measure" and each.cluster.index == 1:
                interruption.received = signal.SIGTERM
            return interruption.is_agreed()

        if comes == "before they ask" and each.cluster.index == 1:
            interruption.received = signal.SIGTERM
        interruption.due(7, ask=True)
        validation = Validation(object(), 3, Asked(), each)
        accuracy = validation.measure(stop)
        stops_next = interruption.due(8, ask=True)
        return accuracy is None, validation.pending, stops_next

    assert each_of(met(3), validate) == [(given_up, given_up, True)] * 3
