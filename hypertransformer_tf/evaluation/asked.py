"""How a CNN is asked about a query set: the words of `Evaluator.measure`, for a command whose help needs no package."""

from hypertransformer_tf.config_checks import require_one_of
from hypertransformer_tf.errors import UserError

ASKED = ("together", "alone", "in_fives", "by_class")


def check_asked(asked: str, queries: int) -> None:
    """Raises UserError for another word, or where a query set of so many pictures cannot be asked about so."""
    require_one_of("asked", asked, ASKED)
    if asked == "in_fives" and queries % 5:
        raise UserError(f"asked = 'in_fives': {queries} queries are not made of fives; change queries_per_class.")
