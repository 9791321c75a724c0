"""HyperTransformer (Zhmoginov, Sandler, Vladymyrov, ICML 2022) for TensorFlow and Keras."""

__version__ = '0.1.0'
