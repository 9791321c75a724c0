"""Looking into a model: what its transformers attend to, and the kernels they write. Everything is NumPy arrays."""
