"""Architectures: how many layers, which sizes, which of them are trained."""

import pytest

from hypertransformer_tf.cnn.architecture import build_architecture
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.errors import UserError


def _sides(architecture):
    return [spec.output_shape[0] for spec in architecture.convolutions]


@pytest.mark.parametrize(
    "side, sides", [(28, [14, 7, 3, 1]), (84, [42, 21, 10, 5]), (16, [8, 4, 2, 1]), (29, [14, 7, 3, 1])]
)
def test_the_papers_cnn_halves_the_map_four_times(side, sides):
    architecture = build_architecture(CnnConfig(channels=8), (side, side, 3))
    assert _sides(architecture) == sides
    for index, spec in enumerate(architecture.convolutions, start=1):
        assert (spec.index, spec.kernel_size, spec.stride, spec.padding, spec.pool) == (index, 3, 1, "SAME", 2)
        assert spec.kernel_shape == (3, 3, 3 if index == 1 else 8, 8)
        assert spec.generated
    assert architecture.logits.index == 5 and architecture.logits.flatten
    assert architecture.logits.input_size == sides[-1] ** 2 * 8


@pytest.mark.parametrize(
    "name, stride, side, sides",
    [
        ("2-layer", 4, 28, [7, 2]),
        ("3-layer", 2, 28, [13, 6, 2]),
        ("3-layer", 1, 28, [26, 24, 22]),
        ("4-layer", 1, 28, [26, 24, 22, 20]),
        ("4-layer", 2, 84, [41, 20, 9, 4]),
    ],
)
def test_the_other_cnns_use_valid_strided_convolutions_and_a_spatial_average(name, stride, side, sides):
    architecture = build_architecture(CnnConfig(architecture=name, stride=stride, channels=4), (side, side, 1))
    assert _sides(architecture) == sides
    assert {(spec.padding, spec.pool, spec.stride) for spec in architecture.convolutions} == {("VALID", 1, stride)}
    assert not architecture.logits.flatten and architecture.logits.input_size == 4


def test_the_cnn_of_the_papers_kernel_pictures_has_nine_by_nine_kernels_of_stride_four():
    config = CnnConfig(architecture="2-layer", kernel_size=9, stride=4, channels=4)
    architecture = build_architecture(config, (84, 84, 3))
    assert _sides(architecture) == [19, 3]
    assert [spec.kernel_shape for spec in architecture.convolutions] == [(9, 9, 3, 4), (9, 9, 4, 4)]
    assert architecture.logits.index == 3 and architecture.logits.input_size == 4


def test_lgm_nets_setting_trains_four_convolutions_and_generates_two():
    config = CnnConfig(architecture="lgm-net", channels=64, trained_layers=4)
    architecture = build_architecture(config, (84, 84, 3))
    assert _sides(architecture) == [42, 21, 10, 10, 5, 5]
    assert [spec.pool for spec in architecture.convolutions] == [2, 2, 2, 1, 2, 1]
    assert [spec.generated for spec in architecture.convolutions] == [False] * 4 + [True] * 2
    assert architecture.logits.index == 7 and architecture.logits.input_size == 5 * 5 * 64


def test_without_convolutions_the_logits_layer_reads_the_images():
    architecture = build_architecture(CnnConfig(architecture="no-convolutions"), (1, 1, 640))
    assert architecture.convolutions == () and architecture.input_shape == (1, 1, 640)
    assert (architecture.logits.index, architecture.logits.input_size, architecture.logits.flatten) == (1, 640, True)
    with pytest.raises(UserError, match="cnn.trained_layers = 1"):
        CnnConfig(architecture="no-convolutions", trained_layers=1)


def test_each_layer_reads_what_the_one_before_wrote():
    architecture = build_architecture(CnnConfig(channels=6), (28, 28, 1))
    for before, after in zip(architecture.convolutions, architecture.convolutions[1:]):
        assert after.input_shape == before.output_shape
    assert architecture.logits.input_shape == architecture.convolutions[-1].output_shape


@pytest.mark.parametrize(
    "trained, generated",
    [
        (0, [1, 1, 1, 1]),
        (1, [0, 1, 1, 1]),
        (4, [0, 0, 0, 0]),
        (-1, [1, 1, 1, 0]),
        (-3, [1, 0, 0, 0]),
        (-4, [0, 0, 0, 0]),
    ],
)
def test_the_first_or_the_last_layers_can_be_trained(trained, generated):
    architecture = build_architecture(CnnConfig(trained_layers=trained), (28, 28, 1))
    assert [int(spec.generated) for spec in architecture.convolutions] == generated


def test_strides_of_the_papers_cnn_round_up_as_same_padding_does():
    assert _sides(build_architecture(CnnConfig(stride=2), (259, 259, 1))) == [65, 16, 4, 1]


@pytest.mark.parametrize(
    "config, side, layer",
    [
        (CnnConfig(), 15, 4),
        (CnnConfig(architecture="3-layer", stride=2), 14, 3),
        (CnnConfig(), 1, 1),
        (CnnConfig(architecture="lgm-net"), 15, 5),
    ],
)
def test_images_that_vanish_on_the_way_are_refused(config, side, layer):
    with pytest.raises(UserError, match=f"{side} pixels are too small.*layer {layer} "):
        build_architecture(config, (side, side, 1))


def test_images_that_are_not_square_are_refused():
    with pytest.raises(UserError, match=r"\(28, 32, 1\) are not square"):
        build_architecture(CnnConfig(), (28, 32, 1))
