"""The form of the convolutions that training takes follows from devices and CNN."""

import pytest
from small_runs import experiment_of, glyphs

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.training.build import _convolution_form, build_training

FOLDABLE = ("cnn.architecture = 'maxpool-4-layer'", "cnn.stride = 1")


@pytest.mark.parametrize(
    "changes, on_cpu, form",
    [
        (FOLDABLE, True, "folded"),
        (FOLDABLE, False, "folded"),
        ((), True, "folded"),
        ((), False, "grouped"),
        (("training.convolution_form = 'plain'",), False, "plain"),
        (("training.convolution_form = 'grouped'",), False, "grouped"),
        (("training.convolution_form = 'grouped'", "training.compile = True"), True, "grouped"),
    ],
)
def test_the_form_suits_devices_and_cnn(changes, on_cpu, form):
    assert _convolution_form(experiment_of(*changes), glyphs(), on_cpu) == form


def test_grouped_is_refused_where_it_has_no_gradient():
    with pytest.raises(UserError, match="'grouped' has no gradient on a CPU without XLA: set training.compile = True"):
        build_training(experiment_of("training.convolution_form = 'grouped'"), glyphs(), "one_device")


@pytest.mark.parametrize("setting", ["precision = 'float8'", "convolution_form = 'fast'"])
def test_unknown_words_are_refused(setting):
    name, _, value = setting.partition(" = ")
    with pytest.raises(UserError, match=f"training.{name} = {value}"):
        experiment_of(f"training.{setting}")


@pytest.mark.parametrize("setting", ["precision = 'bfloat16'", "convolution_form = 'plain'"])
def test_baselines_have_their_own(setting):
    with pytest.raises(UserError, match="needs method.name = 'hypertransformer'"):
        experiment_of("method.name = 'prototypical'", f"training.{setting}")
