"""What figures of a model show: maps by label, neighbours in the embedding, kernels and their difference."""

import io

import keras
import numpy as np
import pytest
from layer_checks import randomise
from PIL import Image
from small_model import SHAPE, changed, make_model

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.inspection.attention_maps import LayerAttention, attention_maps
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.plotting.allocation import LayerKernels, convolution_kernels, draw_allocation
from hypertransformer_tf.plotting.attention import draw_attention, draw_stairs, order_by_label, sorted_map, stairs
from hypertransformer_tf.plotting.embedding import draw_embedding, positions, shared_features
from hypertransformer_tf.plotting.kernels import draw_kernels, kernel_panels
from hypertransformer_tf.plotting.subject import ShownEpisode

pytest.importorskip("matplotlib")
from hypertransformer_tf.plotting.canvas import new_figure, saved, style  # noqa: E402

LABELS = np.array([2, 0, -1, 1, 0, 2, 1], np.int32)
IMAGES = np.random.default_rng(3).integers(0, 256, (7, *SHAPE), dtype=np.uint8)


def numbered(queries, keys):
    """A map of one head that says of each entry where it was."""
    return (100.0 * np.arange(queries)[:, None] + np.arange(keys))[None]


def test_samples_are_sorted_by_label_and_those_without_one_come_last():
    assert order_by_label(LABELS).tolist() == [1, 4, 3, 6, 0, 5, 2]


@pytest.mark.parametrize(
    "name, sizes, rows, columns",
    [
        ("encoder_1", (5, 5), [0, 1, 4, 3, 2], [0, 1, 4, 3, 2]),  # two weight tokens stay in front
        ("decoder_1/self", (5, 5), [0, 1, 4, 3, 2], [0, 1, 4, 3, 2]),
        ("decoder_1/cross", (2, 3), [0, 1], [2, 1, 0]),
        ("decoder_1/self", (2, 2), [0, 1], [0, 1]),
        ("encoder_1", (3, 3), [2, 1, 0], [2, 1, 0]),
    ],
)
def test_rows_and_columns_move_together_in_every_variant(name, sizes, rows, columns):
    layer = LayerAttention(1, weight_tokens=2, samples=3, maps={name: numbered(*sizes)})
    expected = numbered(*sizes)[:, rows][:, :, columns]
    np.testing.assert_array_equal(sorted_map(layer, name, np.array([2, 1, 0])), expected)


def test_stairs_are_what_weight_tokens_take_from_samples():
    maps = {"encoder_1": numbered(5, 5), "encoder_2": numbered(5, 5)}
    found = stairs(LayerAttention(1, 2, 3, maps), np.array([2, 1, 0]))
    assert list(found) == ["encoder_1", "encoder_2"]
    np.testing.assert_array_equal(found["encoder_2"], [[[4, 3, 2], [104, 103, 102]]])
    separate = {"encoder_1": numbered(3, 3), "decoder_1/self": numbered(2, 2), "decoder_1/cross": numbered(2, 3)}
    found = stairs(LayerAttention(1, 2, 3, separate), np.array([2, 1, 0]))
    assert list(found) == ["decoder_1/cross"]
    np.testing.assert_array_equal(found["decoder_1/cross"], [[[2, 1, 0], [102, 101, 100]]])


def test_samples_without_a_label_are_named_in_the_stairs():
    layer = LayerAttention(1, 3, 7, {"encoder_1": numbered(10, 10)})
    with style():
        axes = draw_stairs(layer, LABELS, ("a", "b", "c"), "title").axes[0]
        assert [text.get_text() for text in axes.get_xticklabels()] == ["no label"] and axes.get_xticks() == [6]
        np.testing.assert_array_equal(axes.images[0].get_array()[:, 6], [5, 105, 205])  # what is taken from sample 2
        labelled = LayerAttention(1, 3, 6, {"encoder_1": numbered(9, 9)})
        assert not draw_stairs(labelled, LABELS[LABELS >= 0], ("a", "b", "c"), "title").axes[0].get_xticklabels()


def test_a_model_that_matches_labels_climbs_stairs():
    keras.utils.set_random_seed(0)
    config = changed(transformer={"match_labels": True, "layers": 1})
    model = HyperTransformer(SHAPE, 3, config)
    values = stairs(attention_maps(model, IMAGES, LABELS)[-1], LABELS)["encoder_1"].mean(axis=0)
    steps = values[:, :6].reshape(3, 3, 2).mean(axis=2)  # two samples of each class
    assert (steps.argmax(axis=1) == np.arange(3)).all(), steps


@pytest.mark.parametrize(
    "variant, heads",
    [
        ("encoder", 2),
        pytest.param("encoder_decoder", 2, marks=pytest.mark.slow),
        pytest.param("separate", 1, marks=pytest.mark.slow),
    ],
)
def test_all_variants_are_drawn_twice_alike(variant, heads):
    transformer = {"variant": variant, "heads": heads, "layers": 1}
    layers = attention_maps(make_model(changed(transformer=transformer)), IMAGES, LABELS)[-2:]

    def drawn():
        with style():
            figures = draw_attention(layers, LABELS, "a"), draw_stairs(layers[-1], LABELS, ["$a_1", "b", "三"], "a")
            return [saved(each) for each in figures]

    first, second = drawn(), drawn()
    assert first == second
    for each in first:
        assert np.asarray(Image.open(io.BytesIO(each["png"]))).std() > 1 and b"<svg" in each["svg"]


def test_pictures_that_are_alike_lie_together():
    stream = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 8)
    features = 10.0 * np.eye(3, 5)[groups] + 0.1 * stream.standard_normal((24, 5))
    places = positions(features.astype(np.float32))
    np.testing.assert_array_equal(places, positions(features.astype(np.float32)))
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (groups[distances.argmin(axis=1)] == groups).all()
    with style():
        figure = draw_embedding(places, np.where(groups == 2, -1, groups), ("a", "b"), "title")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["no label", "a", "b"]


@pytest.mark.parametrize("features, message", [(np.eye(3), "at least 4"), (np.ones((9, 2)), "the same for all")])
def test_too_little_for_an_embedding_is_said(features, message):
    with pytest.raises(UserError, match=message):
        positions(features.astype(np.float32))


def test_shared_features_are_the_models():
    model = make_model()
    expected = np.array(model.generate(IMAGES, LABELS).shared_features)
    np.testing.assert_allclose(shared_features(model, IMAGES), expected, rtol=1e-5, atol=1e-6)
    assert (
        shared_features(randomise(HyperTransformer(SHAPE, 3, changed(features={"shared_layers": 0}))), IMAGES) is None
    )


def test_the_third_picture_is_the_difference():
    first, second = np.random.default_rng(0).standard_normal((2, 3, 3, 2, 4)).astype(np.float32)
    one, other, difference = kernel_panels(first, second)
    assert one.shape == (2 * 4 - 1, 4 * 4 - 1)
    np.testing.assert_array_equal(difference[4:7, 8:11], second[:, :, 1, 2] - first[:, :, 1, 2])
    np.testing.assert_array_equal(difference, other - one)
    assert len(kernel_panels(np.ones((4, 2)), np.ones((4, 3)))) == 2  # logits of 2 and of 3 classes


def test_kernels_are_drawn_and_trained_layers_named():
    kernels = [np.ones((3, 3, 1, 2), np.float32), np.zeros((2, 5), np.float32)]
    with style():
        figure = draw_kernels(kernels, kernels, [False, True], ("one", "other"))
        titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
        assert titles[:3] == ["layer 1, trained: one", "layer 1, trained: other", "layer 1, trained: difference"]
        assert titles[3] == "layer 2: one" and saved(figure)


def test_two_models_are_drawn_beside_each_other_each_in_its_own_colours():
    first, second = np.random.default_rng(0).standard_normal((2, 3, 3, 2, 4)).astype(np.float32)
    one, other = [LayerKernels(2, first, second)], [LayerKernels(2, 100 * second, 100 * first)]
    with style():
        figure = draw_allocation(one, other, ("output allocation", "spatial allocation"), ("a", "b"))
        assert saved(figure)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [
        "layer 2, output allocation\na",
        "layer 2, output allocation\nchange to b",
        "layer 2, spatial allocation\na",
        "layer 2, spatial allocation\nchange to b",
    ]
    shown = [np.ma.filled(axes.images[0].get_array(), np.nan) for axes in panels]
    assert all(each.shape == (2 * 4 - 1, 4 * 4 - 1) for each in shown)
    np.testing.assert_array_equal(shown[0][4:7, 8:11], first[:, :, 1, 2])
    np.testing.assert_array_equal(shown[1][4:7, 8:11], (second - first)[:, :, 1, 2])
    np.testing.assert_array_equal(shown[2][4:7, 8:11], 100 * second[:, :, 1, 2])
    np.testing.assert_array_equal(shown[3][4:7, 8:11], (100 * first - 100 * second)[:, :, 1, 2])
    limits = [axes.images[0].get_clim()[1] for axes in panels]
    assert limits[0] == limits[1] == max(np.abs(first).max(), np.abs(second - first).max())
    assert limits[2] == limits[3] > 10 * limits[0]


def test_kernels_of_every_generated_convolution_are_found_whatever_the_allocation():
    others = np.where(LABELS < 0, LABELS, 2 - LABELS)
    episodes = [ShownEpisode("", IMAGES, labels, ("a", "b", "c")) for labels in (LABELS, others)]
    for allocation in ("output", "spatial"):
        model = make_model(changed(cnn={"trained_layers": 1}, generator={"allocation": allocation}))
        found = convolution_kernels(model, *episodes)
        assert [layer.cnn_layer for layer in found] == [2, 3, 4]
        weights = [model.generate(IMAGES, episode.labels) for episode in episodes]
        for layer in found:
            np.testing.assert_array_equal(layer.first, weights[0].convolutions[layer.cnn_layer - 1].kernel)
            np.testing.assert_array_equal(layer.second, weights[1].convolutions[layer.cnn_layer - 1].kernel)
            assert layer.first.shape == (3, 3, 4, 4) and np.abs(layer.second - layer.first).max() > 0


def test_figures_do_not_depend_on_the_users_own_style():
    import matplotlib

    def drawn():
        with style():
            figure = new_figure(2, 2)
            figure.add_subplot().plot([1, 2])
            return saved(figure)

    plain = drawn()
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 7}):
        assert drawn() == plain
