"""From a trained model and a few pictures to a small classifier of its own: made, calibrated, written, read and used."""
