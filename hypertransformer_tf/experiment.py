"""All settings of a run in one value, from gin files and bindings. Knows nothing of TensorFlow."""

import dataclasses
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union, get_type_hints

from hypertransformer_tf.baselines.config import MamlConfig, MethodConfig, OracleConfig
from hypertransformer_tf.baselines.method_checks import check_method
from hypertransformer_tf.cnn.architecture import build_architecture
from hypertransformer_tf.cnn.config import CnnConfig, GeneratorConfig
from hypertransformer_tf.config import check_all_used, configured, loaded_configuration, origins_of, origins_said
from hypertransformer_tf.config_record import configuration_text, effective_configuration
from hypertransformer_tf.data.config import DataConfig
from hypertransformer_tf.data.images_by_class import ImagesByClass
from hypertransformer_tf.episodes.augmentation import AugmentationConfig
from hypertransformer_tf.episodes.config import EpisodeConfig
from hypertransformer_tf.episodes.image_augmentation import ImageAugmentationConfig
from hypertransformer_tf.episodes.mixture import MixedSampler
from hypertransformer_tf.episodes.sampler import EpisodeSampler
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.evaluation.config import EvaluationConfig
from hypertransformer_tf.experiment_checks import check_together
from hypertransformer_tf.layers.config import FeaturesConfig, TransformerConfig
from hypertransformer_tf.layers.feature_sizes import check_shared_extractor
from hypertransformer_tf.model.config import ModelConfig
from hypertransformer_tf.model.token_sizes import check_heads
from hypertransformer_tf.training.config import LossConfig, OptimizerConfig, TrainingConfig


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Settings of data, episodes, model, training and evaluation.

    Raises:
      UserError: settings do not go together; see `experiment_checks.py` and `baselines/method_checks.py`.
    """

    data: DataConfig
    episodes: EpisodeConfig
    augmentation: AugmentationConfig
    image_augmentation: ImageAugmentationConfig
    cnn: CnnConfig
    features: FeaturesConfig
    transformer: TransformerConfig
    generator: GeneratorConfig
    method: MethodConfig
    maml: MamlConfig
    oracle: OracleConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    # Where settings were set, {'episodes.n_way': 'a.gin, line 3'}: for messages; it makes no other experiment.
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        parts = {name: getattr(self, name) for name in _part_types()}
        with origins_said(self.origins):
            check_together(parts)
            check_method(parts)

    @classmethod
    def from_configuration(cls) -> "Experiment":
        """Constructs every part from the gin configuration in force. Raises UserError for a wrong value."""
        types = _part_types()
        parts: Dict[str, Any] = {name: configured(part) for name, part in types.items()}
        return cls(**parts, origins=origins_of(*types.values()))

    @property
    def model(self) -> ModelConfig:
        """The parts that describe the model."""
        return ModelConfig(self.cnn, self.features, self.transformer, self.generator)

    def check_image_size(self) -> None:
        """Raises UserError where a model for images of `data.image_size` could not be made.

        The CNN or the shared extractor is too deep for them, or heads do not divide what comes to be a token's size.
        """
        side, is_baseline = self.data.image_size, self.method.name != "hypertransformer"
        with origins_said(self.origins):
            try:
                architecture = build_architecture(self.cnn, (side, side, self.data.channels))
                if not is_baseline:
                    check_shared_extractor(side, self.features.shared_layers, self.features.shared_padding)
            except UserError as error:
                raise UserError(f"data.image_size = {side}: {error}") from None
            if not is_baseline:
                check_heads(self.model, architecture)

    @property
    def measured_episodes(self) -> EpisodeConfig:
        """The episodes on which a trained model is measured."""
        queries = self.evaluation.queries_per_class
        return self.episodes if queries is None else dataclasses.replace(self.episodes, queries_per_class=queries)

    def effective(self) -> Dict[str, Dict[str, Any]]:
        """All parameters, defaults included, as plain values."""
        return effective_configuration(*self._parts())

    def text(self) -> str:
        """A gin file that repeats this run."""
        return configuration_text(*self._parts())

    def training_sampler(self, images: ImagesByClass) -> Union[EpisodeSampler, MixedSampler]:
        """Augmented episodes of the meta-training classes."""
        seed = self.training.seed

        def sampler(episodes: EpisodeConfig) -> EpisodeSampler:
            return EpisodeSampler(images, "train", episodes, self.augmentation, self.image_augmentation, seed)

        if not self.episodes.mixture:
            return sampler(self.episodes)
        mixture = self.origins.get("episodes.mixture")
        sizes = dict.fromkeys(("episodes.n_way", "episodes.k_shot"), mixture) if mixture else {}
        with origins_said({**self.origins, **sizes}):
            return MixedSampler(sampler, self.episodes, seed, "train")

    def evaluation_sampler(
        self, images: ImagesByClass, split: str, episodes: Optional[EpisodeConfig] = None
    ) -> EpisodeSampler:
        """Episodes of a split as they are, without augmentation; the same for every run with this seed.

        `episodes` are others than those of training and validation.
        """
        plain = AugmentationConfig(), ImageAugmentationConfig(enabled=False)
        return EpisodeSampler(images, split, episodes or self.episodes, *plain, self.training.seed)

    def _parts(self) -> Tuple[Any, ...]:
        return tuple(getattr(self, name) for name in _part_types())


def _part_types() -> Dict[str, Any]:
    return {name: part for name, part in get_type_hints(Experiment).items() if name != "origins"}


def load_experiment(
    gin_file: Optional[str],
    gin_bindings: Sequence[str] = (),
    data_dir: Optional[str] = None,
    steps: Optional[int] = None,
    seed: Optional[int] = None,
) -> Experiment:
    """Reads and checks a configuration; gin has forgotten it afterwards.

    Args:
      gin_file: a path, or a name within gin/; None is the defaults.
      gin_bindings: changes to it.
      data_dir, steps, seed: instead of data.data_dir, training.steps and training.seed.

    Raises:
      UserError: a value that cannot be used, or one that nothing uses.
    """
    given = {"--data_dir": ("data.data_dir", data_dir), "--steps": ("training.steps", steps)}
    given["--seed"] = ("training.seed", seed)
    flags = {flag: f"{parameter} = {value!r}" for flag, (parameter, value) in given.items() if value is not None}
    with loaded_configuration([] if gin_file is None else [gin_file], gin_bindings, flags):
        experiment = Experiment.from_configuration()
        check_all_used()
    return experiment
