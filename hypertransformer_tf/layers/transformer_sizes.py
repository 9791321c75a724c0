"""Sizes in numbers of a transformer, from fractions of its token size (paper, Section 3). Needs no TensorFlow."""

import dataclasses
import math

from hypertransformer_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class TransformerSizes:
    """Sizes in numbers of the transformers of one generator.

    Attributes:
      token: size of a token.
      query_key, value: over all heads.
      inner: of the feed-forward network; 0 is none.
      heads: attention heads.
    """

    token: int
    query_key: int
    value: int
    inner: int
    heads: int

    @classmethod
    def of_token(
        cls, token: int, heads: int, query_key: float, value: float, inner: float, round_up: bool
    ) -> "TransformerSizes":
        """Turns fractions of the token size into sizes (values above 3 are sizes already).

        With `round_up`, each is rounded up to a multiple of `heads` (the joint generators do that).

        Raises:
          UserError: the heads do not divide the size of queries and keys, or of values.
        """

        def size(fraction: float) -> int:
            if fraction > 3.0:
                return int(fraction)
            exact = int(token * fraction)
            return math.ceil(exact / heads) * heads if round_up else exact

        for name, fraction in (("query_key_size", query_key), ("value_size", value)):
            if size(fraction) == 0 or size(fraction) % heads:
                raise UserError(
                    f"transformer.{name} = {fraction:g} makes a size of {size(fraction)} of a token of {token}, which "
                    f"transformer.heads = {heads} does not divide: change one of the two."
                )
        return cls(token, size(query_key), size(value), size(inner), heads)
