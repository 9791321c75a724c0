"""Whether models of a row were trained as the library would train them today."""

import pathlib
import tempfile
from typing import Optional

from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.composed_file import composed_text
from hypertransformer_tf.reproduction.recipe_digest import recipe_digest
from hypertransformer_tf.reproduction.results import RowResult


def present_recipe(file: str, steps: Optional[int], row: Experiment) -> str:
    """The `recipe_digest` of a model that would be trained now.

    Args:
      file: the row's, by its name within gin/.
      steps: of a run on a budget; None for the row's own recipe.
      row: what the row's file says.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "row.gin"
        path.write_text(composed_text(file, steps, row), encoding="utf-8")
        return recipe_digest(load_experiment(str(path)).effective())


def trained_otherwise(result: RowResult, file: str, budget: Budget) -> list[int]:
    """Seeds of a row's models whose recipe is not the present one; of those that noted none that cannot be said.

    Args:
      result: of the row on that budget.
      file: the row's, by its name within gin/.
      budget: what the models were trained on.
    """
    row = load_experiment(file)
    own = budget.of_method(row.method.is_meta_trained)
    present: dict[Optional[int], str] = {}  # a row's models have the same number of steps, as a rule
    seeds = []
    for seed in result.seeds:
        steps = None if own.is_full else seed.steps
        if steps not in present:
            present[steps] = present_recipe(file, steps, row)
        if seed.recipe not in (None, present[steps]):
            seeds.append(seed.seed)
    return seeds
