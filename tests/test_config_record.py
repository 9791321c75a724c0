"""A run's configuration as it is kept: every parameter, comparable, and a file that repeats it."""

import dataclasses
import json
from typing import Optional

import pytest

import gin
from hypertransformer_tf import config, config_record


@gin.configurable("jar")
@dataclasses.dataclass(frozen=True)
class Jar:
    litres: float = 1.5
    colours: tuple = ("red", "blue")
    owner: Optional[str] = None


@gin.configurable("mug")
@dataclasses.dataclass(frozen=True)
class Mug:
    cups: int = 4


@pytest.fixture(autouse=True)
def only_the_configurables_above(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "CONFIG_MODULES", ())
    yield
    gin.clear_config()


def test_the_effective_configuration_has_every_parameter_and_survives_json():
    config.load_configuration([], ["jar.litres = 2"])
    effective = config_record.effective_configuration(config.configured(Jar), Mug())
    assert effective == {"jar": {"litres": 2, "colours": ["red", "blue"], "owner": None}, "mug": {"cups": 4}}
    assert json.loads(json.dumps(effective)) == effective


def test_the_saved_text_repeats_the_configuration(tmp_path):
    config.load_configuration([], ["jar.litres = 2.25", 'jar.owner = "A \\"quoted\\" name"'])
    instances = config.configured(Jar), config.configured(Mug)
    (tmp_path / "saved.gin").write_text(config_record.configuration_text(*instances))
    config.load_configuration([str(tmp_path / "saved.gin")])
    assert (config.configured(Jar), config.configured(Mug)) == instances


def test_parameters_that_an_earlier_version_did_not_know_get_their_defaults():
    new = config_record.effective_configuration(Jar(litres=3), Mug(cups=5))
    filled = config_record.with_defaults({"jar": {"litres": 2}, "box": {"a": 1}}, new)
    jar = {"litres": 2, "colours": ["red", "blue"], "owner": None}
    assert filled == {"jar": jar, "mug": {"cups": 4}, "box": {"a": 1}}


def test_what_is_not_at_its_default_is_named():
    changed = config_record.without_defaults(config_record.effective_configuration(Jar(litres=3), Mug()))
    assert changed == {"jar.litres": 3}
    assert config_record.without_defaults({"box": {"a": 1}}) == {"box.a": 1}  # of a part that is not known
