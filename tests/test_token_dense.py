"""The dense layer of the transformer: Keras' own, in fewer operations."""

import keras
import numpy as np
from layer_checks import check_layer

from hypertransformer_tf.layers.token_dense import TokenDense

TOKENS = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32)


def _checked():
    return check_layer(
        lambda: TokenDense(4, name="dense"),
        [TOKENS],
        build=[(None, None, 5)],
        output_shapes=[(2, 3, 4)],
        variables=2,
    )


def test_it_does_what_every_layer_does():
    _checked()


def test_it_computes_what_keras_own_computes():
    layer, theirs = _checked(), keras.layers.Dense(4)
    theirs.build((None, None, 5))
    theirs.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(TOKENS), theirs(TOKENS), rtol=1e-5, atol=1e-6)
