"""Measuring a preset on episodes of the data that its card names: what `bin/evaluate --model` calls."""

import dataclasses
import json
import os
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple, Union

from hypertransformer_tf.config_checks import require_whole_number
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.data.load import load_images
from hypertransformer_tf.deployment.model_files import ModelFiles
from hypertransformer_tf.deployment.presets import read_preset
from hypertransformer_tf.episodes.augmentation import AugmentationConfig
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.errors import UserError, plain_sentence
from hypertransformer_tf.evaluation.asked import check_asked
from hypertransformer_tf.evaluation.evaluate import Evaluation
from hypertransformer_tf.quiet_import import import_quietly
from hypertransformer_tf.runs.preset_files import CARD, find_preset

if TYPE_CHECKING:
    from hypertransformer_tf.evaluation.protocol import Evaluator

_SEED = 0  # of the episodes: the same for all presets, so that they can be compared


def evaluate_preset(
    model: Union[str, os.PathLike],
    split: str = "test",
    episodes: int = 1024,
    query_batches: int = 16,
    data_dir: Optional[str] = None,
    n_way: Optional[int] = None,
    k_shot: Optional[int] = None,
    asked: str = "together",
    queries_per_class: Optional[int] = None,
) -> Evaluation:
    """Measures a preset on episodes of its data, without unlabelled samples and with no support picture asked about.

    Args:
      model: name of a preset in the package, or directory of one.
      split, episodes, query_batches, data_dir, asked: as of `evaluate` for runs.
      n_way, k_shot: of the episodes; unset, those of the first accuracy in the card.
      queries_per_class: of the episodes; unset, as in training by default.

    Raises:
      UserError: there is no such preset, its files are damaged, its card names no data or data that are not to be had
        or are split otherwise than in training, or the episodes cannot be drawn.
    """
    require_whole_number("episodes", episodes, at_least=2)
    require_whole_number("query_batches", query_batches, at_least=1)
    files, card = read_preset(model), read_card(model)
    size = _first_size(card, files.n_way)
    size = (size[0] if n_way is None else n_way, size[1] if k_shot is None else k_shot)
    if size[0] > files.n_way:
        raise UserError(f"{size[0]}-way episodes: the preset {files.name} tells 2 to {files.n_way} classes apart.")
    sampler = sampler_of(images_of(files, card, data_dir), split, *size, queries_per_class)
    check_asked(asked, sampler.episodes.n_way * sampler.episodes.queries_per_class)
    import_quietly("tensorflow")
    from hypertransformer_tf.evaluation.protocol import Evaluator

    return measured(Evaluator(files.build()), files.name, sampler, split, episodes, query_batches, asked)


def sampler_of(
    images: ImagesByClass, split: str, n_way: int, k_shot: int, queries_per_class: Optional[int] = None
) -> EpisodeSampler:
    """Episodes on which presets are measured. Raises UserError if the data do not suffice."""
    plain = AugmentationConfig(), ImageAugmentationConfig(enabled=False)
    episodes = EpisodeConfig(n_way=n_way, k_shot=k_shot)
    if queries_per_class is not None:
        episodes = dataclasses.replace(episodes, queries_per_class=queries_per_class)
    return EpisodeSampler(images, split, episodes, *plain, _SEED)


def measured(
    evaluator: "Evaluator",
    name: str,
    sampler: EpisodeSampler,
    split: str,
    episodes: int,
    query_batches: int = 1,
    asked: str = "together",
) -> Evaluation:
    """The accuracy of the model of that name over the first episodes of a sampler of `sampler_of`."""
    return Evaluation.of(
        evaluator.measure(sampler, episodes, query_batches, asked),
        sampler.episodes,
        run_dir=None,
        step=None,
        model=name,
        split=split,
        episodes=episodes,
        query_batches=query_batches,
        asked=asked,
    )


def read_card(model: Union[str, os.PathLike]) -> Dict[str, Any]:
    """What the card of an existing preset says. Raises UserError if it cannot be read."""
    directory = find_preset(model)
    try:
        return dict(json.loads((directory / CARD).read_text(encoding="utf-8"))) if directory else {}
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"Preset {directory} is damaged ({error}): get it again.") from error


def images_of(files: ModelFiles, card: Mapping[str, Any], data_dir: Optional[str]) -> ImagesByClass:
    """The data that a preset's card names, in the form that its model takes. Raises UserError."""
    source = card.get("data")
    if not source:
        raise UserError(
            f"Preset {files.name}: its {CARD} names no data (no 'data' in it): measure the run that it was made of, by "
            "--run_dir."
        )
    split = {name: card[name] for name in ("split_fractions", "split_seed") if name in card}
    try:
        config = DataConfig(source, data_dir, files.image_shape[0], files.image_shape[2], **split)
    except UserError as error:
        raise UserError(
            f"Preset {files.name}: its {CARD} names data that cannot be loaded: {plain_sentence(error)}"
        ) from error
    images = load_images(config, files.n_way)
    found = len(images.splits["train"])
    if card.get("meta_train_classes", found) != found:  # a test class might have been trained on
        raise UserError(
            f"Preset {files.name} was trained on {card['meta_train_classes']} classes of {source} and its split has "
            f"{found} now: measure it on the data that it was trained on."
        )
    return images


def _first_size(card: Mapping[str, Any], most: int) -> Tuple[int, int]:
    """n_way and k_shot of the first accuracy in a card, 5-way 1-shot (if the model can) without any."""
    try:
        first = card["test_accuracy"][0]
        return first["n_way"], first["k_shot"]
    except (KeyError, IndexError, TypeError):
        return min(5, most), 1
