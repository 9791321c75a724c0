"""The quick start, whole: what README.md promises of it."""

import pytest
from small_runs import ROOT

from hypertransformer_tf.training.train import train

LEAST_ACCURACY, LEAST_AHEAD = 0.85, 0.25


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_it_tells_glyphs_apart_that_it_has_never_seen_far_better_than_pixels_do(tmp_path, capsys):
    result = train(str(ROOT / "gin" / "quickstart.gin"), run_dir=str(tmp_path / "run"))
    assert result.test.mean >= LEAST_ACCURACY
    assert "compiling the training step" in capsys.readouterr().out
    assert result.test.mean >= result.pixels.mean + LEAST_AHEAD
