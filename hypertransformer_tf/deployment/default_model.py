"""The preset that generates a classifier where no other model is asked for. Help texts name it: imports nothing."""

DEFAULT_MODEL = "drawings"
