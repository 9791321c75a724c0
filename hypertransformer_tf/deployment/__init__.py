"""From a trained model and a few pictures per class to a classifier that runs by itself."""
