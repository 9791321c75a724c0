"""A trained model as it was read from disk, not yet built. Needs no TensorFlow until it is."""

import dataclasses
from typing import TYPE_CHECKING, Mapping, Optional

import numpy as np

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.model.config import ModelConfig
from hypertransformer_tf.model.training_only import is_for_training_only
from hypertransformer_tf.quiet_import import import_quietly

if TYPE_CHECKING:
    from hypertransformer_tf.model.hypertransformer import HyperTransformer


@dataclasses.dataclass(frozen=True)
class ModelFiles:
    """A trained model: what it is and its variables.

    Attributes:
      name: of the preset or the run.
      image_shape: (H, W, C) of the images it takes.
      n_way: how many classes it tells apart at most.
      config: everything else.
      background: `light` or `dark`, that of the pictures it was trained with; None for any.
      sha256: of the file with the variables.
      arrays: the variables by name, without those that only meta-training uses.
    """

    name: str
    image_shape: tuple[int, int, int]
    n_way: int
    config: ModelConfig
    background: Optional[str]
    sha256: str
    arrays: Mapping[str, np.ndarray]

    def build(self) -> "HyperTransformer":
        """The model. Raises UserError if the variables are of another one."""
        import_quietly("tensorflow")
        from hypertransformer_tf.model.hypertransformer import HyperTransformer
        from hypertransformer_tf.runs.state import restore_model

        model = HyperTransformer(self.image_shape, self.n_way, self.config)
        restore_model(model, {f"model/{name}": np.asarray(array, np.float32) for name, array in self.arrays.items()})
        return model


def config_for_use(config: ModelConfig) -> ModelConfig:
    """The configuration without what only meta-training uses."""
    return dataclasses.replace(config, cnn=dataclasses.replace(config.cnn, warmup_heads="none"))


def arrays_for_use(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The variables that a model of `config_for_use` has."""
    return {name: array for name, array in arrays.items() if not is_for_training_only(name)}


def require_inductive(config: ModelConfig, name: str) -> None:
    """Refuses a model whose answers about one picture depend on the other pictures asked about.

    Raises:
      UserError: naming the model.
    """
    if config.cnn.normalisation == "query":
        raise UserError(
            f"Model {name} has cnn.normalisation = 'query', so that its answer about a picture depends on the other "
            "pictures: use a model trained with cnn.normalisation = 'support' or 'task'."
        )
