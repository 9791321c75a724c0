"""HyperTransformer (ICML 2022) in TensorFlow and Keras: few-shot learning by generating a small CNN's weights.

    import hypertransformer_tf as ht

    result = ht.train("gin/quickstart.gin")
    model = ht.HyperTransformer(image_shape=(28, 28, 1), n_way=5)

Importing the package does not import TensorFlow; using a name that needs it does.
"""

import importlib
from typing import Any, List

__version__ = "0.1.0"

_WHERE = {
    "Episode": "hypertransformer_tf.episodes.episode",
    "EpisodeConfig": "hypertransformer_tf.episodes.config",
    "EpisodeSampler": "hypertransformer_tf.episodes.sampler",
    "FewShotClassifier": "hypertransformer_tf.deployment.few_shot_classifier",
    "HyperTransformer": "hypertransformer_tf.model.hypertransformer",
    "ModelConfig": "hypertransformer_tf.model.config",
    "UserError": "hypertransformer_tf.errors",
    "benchmark": "hypertransformer_tf.training.benchmark",
    "evaluate": "hypertransformer_tf.evaluation.evaluate",
    "generate": "hypertransformer_tf.deployment.generate",
    "load_images": "hypertransformer_tf.data.load",
    "train": "hypertransformer_tf.training.train",
}

__all__ = ["__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> List[str]:
    return __all__
