"""Configuration: what gin files and bindings say arrives, and whatever is wrong with them is one sentence."""

import dataclasses
import pathlib
import subprocess
import sys
import time
from typing import Optional

import pytest

import gin
from hypertransformer_tf import config, gin_files
from hypertransformer_tf.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[1]


@gin.configurable("kettle")
@dataclasses.dataclass(frozen=True)
class Kettle:
    litres: float = 1.5
    colours: tuple = ("red", "blue")
    owner: Optional[str] = None

    def __post_init__(self) -> None:
        if not isinstance(self.litres, (int, float)) or self.litres <= 0:
            raise UserError(f"kettle.litres = {self.litres!r} must be a number above 0.")


@gin.configurable("teapot")
@dataclasses.dataclass(frozen=True)
class Teapot:
    cups: int = 4


@pytest.fixture(autouse=True)
def only_the_configurables_above(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "CONFIG_MODULES", ())
    monkeypatch.setattr(gin_files, "GIN_FOLDER", tmp_path / "repository" / "gin")
    monkeypatch.chdir(tmp_path)
    yield
    gin.clear_config()


def _write(path: str, text: str) -> str:
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return path


def _refused(files=(), bindings=()) -> str:
    with pytest.raises(UserError) as caught:
        config.load_configuration(files, bindings)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_bindings_win_over_files_and_later_files_over_earlier_ones():
    first = _write("first.gin", "kettle.litres = 2\nteapot.cups = 1\n")
    second = _write("second.gin", 'kettle.litres = 3\nkettle.owner = "Ann"\n')
    config.load_configuration([first, second], ['kettle.owner = "Bob"'])
    assert config.configured(Kettle) == Kettle(3, ("red", "blue"), "Bob")
    assert config.configured(Teapot).cups == 1


def test_loading_again_forgets_what_was_loaded_before():
    config.load_configuration([], ["kettle.litres = 2"])
    config.load_configuration([], [])
    assert config.configured(Kettle).litres == 1.5


def test_a_configuration_is_forgotten_at_the_end_of_its_block():
    with config.loaded_configuration([], ["kettle.litres = 2"]):
        assert config.configured(Kettle).litres == 2
    assert Kettle().litres == 1.5 and config.unused_bindings() == []
    with pytest.raises(UserError), config.loaded_configuration([], ["kettle.litres = 2", "kettle.size = 1"]):
        pass
    assert Kettle().litres == 1.5


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_of_a_file_is_refused(name):
    assert "The name of a gin file is empty" in _refused([name])


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".gin"])
def test_a_name_too_long_for_a_file_is_refused(name):
    assert "cannot be looked up: File name too long" in _refused([name])


def test_blocks_and_macros_are_understood():
    config.load_configuration([_write("a.gin", "SIZE = 7\nkettle:\n  litres = %SIZE\n  owner = None\n")])
    assert config.configured(Kettle).litres == 7
    config.check_all_used()


def test_a_file_is_found_by_its_name_within_the_gin_folder():
    _write("repository/gin/model/small.gin", "kettle.litres = 0.5\n")
    for name in ("model/small.gin", "model/small", "gin/model/small.gin"):
        config.load_configuration([name])
        assert config.configured(Kettle).litres == 0.5


def test_an_include_is_looked_up_beside_the_including_file_and_in_the_gin_folder():
    _write("repository/gin/shared.gin", 'kettle.owner = "shared"\n')
    _write("mine/parts/size.gin", "kettle.litres = 9\n")
    _write("mine/all.gin", 'include "parts/size.gin"\ninclude "shared.gin"\nteapot.cups = 2\n')
    config.load_configuration(["mine/all.gin"])
    assert config.configured(Kettle) == Kettle(9, ("red", "blue"), "shared")
    assert config.configured(Teapot).cups == 2


def test_a_file_that_is_not_there_is_named_with_the_nearest_names():
    _write("repository/gin/quickstart.gin", "")
    message = _refused(["gin/quickstrat.gin"])
    assert "'gin/quickstrat.gin'" in message and "did you mean quickstart.gin" in message
    _write("all.gin", '\ninclude "size.gin"\n')
    assert "'size.gin' (all.gin, line 2) is not there" in _refused(["all.gin"])


@pytest.mark.parametrize(
    "text, line",
    [
        ("kettle.litres 5", 1),
        ("teapot.cups = 1\nkettle.litres = (1, 2", 2),
        ("kettle.litres = = 2", 1),
        ('kettle.litres = "open', 1),
        ("kettle.owner = Ann", 1),
        ("5 = 5", 1),
        ("kettle.litres = 2 * 3", 1),
        ("kettle:\nlitres = 3", 1),
        ("  kettle..litres = 3", 1),
        ("teapot.cups = 4\n$%&", 2),
    ],
)
def test_a_file_that_does_not_parse_is_named_with_the_line(text, line):
    message = _refused([_write("wrong.gin", text + "\n")])
    assert message.startswith("wrong.gin, line ") and "does not parse" in message
    assert f"line {line}" in message or f"line {line + 1}" in message  # an open bracket shows at the next line


def test_text_without_quotes_is_explained():
    assert "text goes in quotes" in _refused([], ["kettle.owner = Ann"])


def test_a_file_that_is_no_text_is_named():
    pathlib.Path("picture.gin").write_bytes(b"\x89PNG\xff\xfe")
    assert "picture.gin cannot be read: it is not a text file" in _refused(["picture.gin"])


def test_an_unknown_configurable_is_named_with_the_nearest():
    assert _refused([_write("a.gin", "\nketle.litres = 1\n")]).startswith("a.gin, line 2: 'ketle'")
    assert "did you mean kettle" in _refused([], ["ketle.litres = 1"])
    assert "'ketle'" in _refused([_write("b.gin", "ketle:\n  litres = 1\n")])


def test_an_unknown_parameter_is_named_with_the_nearest():
    message = _refused([_write("a.gin", "kettle.liters = 1\n")])
    assert "a.gin, line 1: kettle has no parameter 'liters'; did you mean litres" in message
    assert "binding 'kettle.size = 1'" in _refused([], ["kettle.size = 1"])


def test_an_unknown_reference_or_macro_is_named():
    assert "'@pan()'" in _refused([_write("a.gin", "kettle.owner = @pan()\n")])
    assert "uses %SISE, which no file or binding sets; did you mean SIZE" in _refused(
        [_write("b.gin", "SIZE = 1\nkettle.litres = %SISE\n")]
    )


def test_a_file_that_includes_itself_is_refused():
    _write("a.gin", 'include "b.gin"\n')
    _write("b.gin", 'include "a.gin"\n')
    assert "includes itself" in _refused(["a.gin"])


def test_an_import_is_refused():
    assert "a.gin, line 1 imports os" in _refused([_write("a.gin", "import os\n")])


def test_a_wrong_value_says_where_it_was_set():
    config.load_configuration([_write("a.gin", 'teapot.cups = 1\nkettle.litres = "two"\n')])
    with pytest.raises(UserError) as caught:
        config.configured(Kettle)
    assert str(caught.value) == "kettle.litres = 'two' must be a number above 0 (set in a.gin, line 2)."


def test_a_binding_that_nothing_used_is_named():
    config.load_configuration([_write("a.gin", "kettle.litres = 2\nteapot.cups = 3\nSIZE = 4\n")])
    config.configured(Kettle)
    assert config.unused_bindings() == ["teapot.cups (a.gin, line 2)", "SIZE (a.gin, line 3)"]
    with pytest.raises(UserError, match=r"uses teapot\.cups \(a\.gin, line 2\), SIZE"):
        config.check_all_used()
    config.load_configuration(["a.gin"], ["kettle.litres = %SIZE"])
    config.configured(Kettle), config.configured(Teapot)
    config.check_all_used()


def test_a_binding_in_a_scope_counts_as_used_in_that_scope_only():
    config.load_configuration([], ["kettle.litres = 2", "camping/kettle.litres = 1"])
    assert config.configured(Kettle).litres == 2
    assert [name.split(" ")[0] for name in config.unused_bindings()] == ["camping/kettle.litres"]
    with gin.config_scope("camping"):
        assert config.configured(Kettle).litres == 1
    config.check_all_used()


def test_the_librarys_own_configuration_loads_within_two_seconds_and_without_tensorflow():
    program = """
import sys
from hypertransformer_tf import config
config.load_configuration([], ['episodes.n_way = 7'])
from hypertransformer_tf.episodes.config import EpisodeConfig
assert config.configured(EpisodeConfig).n_way == 7
assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules
"""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    assert time.monotonic() - started < 2
