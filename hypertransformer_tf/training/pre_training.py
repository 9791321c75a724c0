"""Beginning with the shared features of another run: `training.shared_features_from`. Needs no TensorFlow."""

from hypertransformer_tf.errors import UserError
from hypertransformer_tf.runs.checkpoints import Checkpoint, load_for_use
from hypertransformer_tf.runs.data_record import DataRecord, read_data_record


def pre_trained(run_dir: str, data: DataRecord) -> Checkpoint:
    """The checkpoint whose shared features a run begins with.

    Args:
      run_dir: of `training.shared_features_from`.
      data: of the run that begins.

    Raises:
      UserError: there is no such run, it has no checkpoint, or was trained on classes that this run is validated or
        measured on.
    """
    where = f"training.shared_features_from = {run_dir!r}"
    try:
        checkpoint = load_for_use(f"{run_dir}/checkpoints")
    except OSError as error:
        raise UserError(f"{where} cannot be read: {error.strerror or error}; give a run directory.") from None
    if checkpoint is None:
        raise UserError(f"{where} holds no checkpoint: give a run directory.")
    other = read_data_record(run_dir)
    if other is None:
        raise UserError(
            f"{where} has no data.json, which names the classes it was trained on: train it with this version, so that "
            "these can be told from the ones measured on."
        )
    for split in ("validation", "test"):
        seen = sorted(set(other["classes"]["train"]) & set(data["classes"][split]))
        if seen:
            raise UserError(
                f"{where} was trained on {len(seen)} {split} classes of this run, {seen[0]!r} among them, so that its "
                "accuracy on them would say nothing: pre-train with the same split of the classes."
            )
    return checkpoint
