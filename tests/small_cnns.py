"""Small generated CNNs of random numbers in several layouts, and what they answer by `cnn/run.py`."""

import numpy as np

from hypertransformer_tf.cnn.architecture import build_architecture
from hypertransformer_tf.cnn.config import CnnConfig
from hypertransformer_tf.cnn.run import run_cnn
from hypertransformer_tf.deployment.calibration import softmax
from hypertransformer_tf.deployment.portable_cnn import PortableCnn, PortableConvolution
from hypertransformer_tf.deployment.weights_file import read_weights, weights_file
from hypertransformer_tf.deployment.weights_reading import weights_from_arrays

# By name: image shape, settings, whether a picture's own moments count, a bias, inversion.
LAYOUTS = {
    "support moments": ((16, 16, 1), {}, False, False, False),
    "blended moments": ((16, 16, 1), {}, True, False, False),
    "colour, inverted, odd size": ((21, 21, 3), {"channels": 5}, True, True, True),
    "leaky, averaged, strides": (
        (28, 28, 1),
        {"architecture": "4-layer", "stride": 2, "activation": "leaky_relu", "kernel_size": 2},
        True,
        True,
        False,
    ),
    "three layers": ((12, 12, 3), {"architecture": "3-layer"}, False, True, True),
    "pools between some": ((16, 16, 1), {"architecture": "lgm-net"}, True, False, False),
    "no convolutions": ((3, 3, 3), {"architecture": "no-convolutions"}, False, False, True),
}


def make_cnn(layout="support moments", classes=5, temperature=0.7, seed=0) -> PortableCnn:
    shape, settings, blended, biased, invert = LAYOUTS[layout]
    stream = np.random.default_rng(seed)
    config = CnnConfig(**{"channels": 4, **settings})
    architecture = build_architecture(config, shape)

    def random(*size, scale=0.5, around=0.0):
        return (around + scale * stream.normal(size=size)).astype(np.float32)

    convolutions = []
    for index, spec in enumerate(architecture.convolutions):
        channels = spec.output_shape[-1]
        convolutions.append(
            PortableConvolution(
                spec=spec,
                kernel=random(*spec.kernel_shape),
                bias=random(channels) if biased else None,
                gamma=random(channels, around=1.0),
                beta=random(channels),
                mean=random(channels, around=0.5),
                variance=np.square(random(channels)) + np.float32(0.1),
                own_share=float(np.float32(0.1 + 0.2 * index)) if blended else None,
            )
        )
    kernel = random(architecture.logits.input_size, classes, scale=1.0)
    return PortableCnn(
        architecture, config.activation, tuple(convolutions), kernel, random(classes), temperature, invert
    )


def make_class_means(cnn: PortableCnn) -> np.ndarray:
    """(classes, d) float32."""
    return np.random.default_rng(2).normal(size=cnn.logits_kernel.T.shape).astype(np.float32)


def random_pictures(cnn: PortableCnn, count=6, seed=1) -> np.ndarray:
    """(N, H, W, C) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, *cnn.image_shape), dtype=np.uint8)


def expected_logits(cnn: PortableCnn, pictures: np.ndarray) -> np.ndarray:
    """(N, classes), computed as the model computes them."""
    weights = weights_from_arrays(read_weights(weights_file(cnn, make_class_means(cnn))), cnn.architecture)
    pictures = 255 - pictures if cnn.invert else pictures
    scaled = pictures.astype(np.float32)[np.newaxis] / 128.0 - 1.0
    return np.asarray(run_cnn(scaled, weights, cnn.architecture, cnn.activation, form="plain")[0])[0]


def expected_probabilities(cnn: PortableCnn, pictures: np.ndarray) -> np.ndarray:
    return softmax(expected_logits(cnn, pictures) / cnn.temperature)
