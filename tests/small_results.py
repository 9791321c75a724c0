"""Results of rows that were never run, for tests of what is made from them."""

from hypertransformer_tf.reproduction.index import IndexRow
from hypertransformer_tf.reproduction.results import DONE, RowResult, SeedResult


def seed_result(seed=0, accuracy=0.8, interval=0.01, train_accuracy=None, steps=100):
    return SeedResult(
        seed=seed,
        steps=steps,
        episodes=8 * steps,
        accuracy=accuracy,
        interval_95=interval,
        train_accuracy=train_accuracy,
        seconds=60.0,
        machine="a processor, 2 cores",
        command="bin/reproduce --row=a",
        date="2024-01-02",
        versions={"python": "3.11"},
    )


def row_result(row, *seeds, budget="100_steps", state=DONE, reason=""):
    return RowResult(row, budget, state, reason, seeds)


def index_row(name, series="all layers", x="8", **values):
    places = {"table": "table_1", "figure": "channels", "panel": "Omniglot"}
    return IndexRow(file=f"paper/{name}.gin", series=series, x=x, **{**places, **values})


ROWS = [
    index_row("a", x="16", paper="93.7", paper_train="95.0", note="paper"),
    index_row("b", x="8", paper="87.2", note="paper"),
    index_row("c", series="logits only", x="8"),
    index_row("d", series="logits only", x="16"),
    index_row("e", panel="FC100", x="none"),
]
RESULTS = {
    "a": row_result("a", seed_result(0, 0.90, 0.006, 0.95), seed_result(1, 0.92, 0.008, 0.97)),
    "b": row_result("b", seed_result()),
    "c": row_result("c", state="skipped", reason="data is missing."),
}
