"""A whole HyperTransformer as a SavedModel for TensorFlow Serving: what `bin/export` writes."""
