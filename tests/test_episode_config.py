"""The configurations of episodes accept what makes sense and say what is wrong otherwise."""

import dataclasses
import subprocess
import sys

import pytest

import gin
from hypertransformer_tf.episodes.augmentation import AugmentationConfig
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig
from hypertransformer_tf.errors import UserError


@pytest.fixture(autouse=True)
def no_bindings():
    gin.clear_config()
    yield
    gin.clear_config()


def test_gin_bindings_set_the_values():
    gin.parse_config(
        "episodes.n_way = 20\nepisodes.k_shot = 5\naugmentation.rotate_by_90 = True\n"
        "augmentation.angle_range = 30\nimage_augmentation.enabled = True"
    )
    assert EpisodeConfig() == EpisodeConfig(n_way=20, k_shot=5, queries_per_class=3)
    assert AugmentationConfig().rotate_by_90 and AugmentationConfig().angle_range == 30
    assert ImageAugmentationConfig() == ImageAugmentationConfig(enabled=True, individually=False)


def test_a_binding_out_of_range_is_a_user_error():
    gin.parse_config("episodes.k_shot = 0")
    with pytest.raises(UserError, match=r"episodes.k_shot = 0: .*at least 1"):
        EpisodeConfig()


@pytest.mark.parametrize(
    "config,field,value",
    [
        (EpisodeConfig, "n_way", 1),
        (EpisodeConfig, "n_way", 5.0),
        (EpisodeConfig, "n_way", "5"),
        (EpisodeConfig, "k_shot", True),
        (EpisodeConfig, "queries_per_class", 0),
        (EpisodeConfig, "unlabelled_per_class", -1),
        (EpisodeConfig, "k_shot", None),
        (AugmentationConfig, "roll_probability", 1.1),
        (AugmentationConfig, "angle_range", 200),
        (AugmentationConfig, "negate_probability", -0.1),
        (AugmentationConfig, "smooth_probability", float("nan")),
        (AugmentationConfig, "contrast_probability", "often"),
        (AugmentationConfig, "per_class", 1),
        (ImageAugmentationConfig, "enabled", "yes"),
        (ImageAugmentationConfig, "individually", 0),
    ],
)
def test_a_bad_value_is_named_with_its_parameter(config, field, value):
    with pytest.raises(UserError) as error:
        config(**{field: value})
    assert f"{field} = {value!r}" in str(error.value)


@pytest.mark.parametrize("config", [EpisodeConfig, AugmentationConfig, ImageAugmentationConfig])
def test_configurations_cannot_be_changed(config):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config(), dataclasses.fields(config)[0].name, 3)


def test_samples_per_class_count_support_and_query():
    config = EpisodeConfig(n_way=5, k_shot=2, queries_per_class=7, unlabelled_per_class=3)
    assert (config.support_per_class, config.samples_per_class) == (5, 12)


def test_episodes_need_no_tensorflow():
    code = (
        "import sys, hypertransformer_tf.episodes.sampler, hypertransformer_tf.episodes.prefetch\n"
        'sys.exit("tensorflow" in sys.modules or "keras" in sys.modules)'
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
