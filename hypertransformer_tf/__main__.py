"""`python -m hypertransformer_tf` is the command `hypertransformer`."""

from hypertransformer_tf.commands.hypertransformer import main

if __name__ == "__main__":
    raise SystemExit(main())
