"""How a CNN is asked about a query set: the words of `Evaluator.measure`, for a command whose help needs no package."""

ASKED = ("together", "alone", "in_fives", "by_class")
