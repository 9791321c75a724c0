"""What a run is on disk: its configuration, directory, checkpoints and metrics."""
