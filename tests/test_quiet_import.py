"""Quiet imports: what native code writes while a module loads is held back, unless loading fails."""

import os
import subprocess
import sys

import pytest

from hypertransformer_tf import quiet_import


@pytest.fixture
def module_folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_what_a_module_writes_while_it_loads_is_held_back_and_later_words_are_not(module_folder, capfd):
    (module_folder / "noisy_module.py").write_text('import os\nos.write(2, b"note")\nvalue = 3\n')
    assert quiet_import.import_quietly("noisy_module").value == 3
    print("later", file=sys.stderr)
    assert capfd.readouterr().err == "later\n"


def test_standard_error_can_be_reached_while_a_module_loads(module_folder, capfd):
    write = (
        "import os\nfrom hypertransformer_tf.quiet_import import standard_error\nos.write(standard_error(), b'said')\n"
    )
    (module_folder / "speaking_module.py").write_text(write)
    quiet_import.import_quietly("speaking_module")
    os.write(quiet_import.standard_error(), b", later")
    assert capfd.readouterr().err == "said, later"


def test_a_module_that_cannot_be_loaded_shows_what_was_held_back(module_folder, capfd):
    (module_folder / "broken_module.py").write_text('import os\nos.write(2, b"reason")\nraise ImportError("no")\n')
    with pytest.raises(ImportError):
        quiet_import.import_quietly("broken_module")
    assert capfd.readouterr().err == "reason"


@pytest.mark.slow
def test_what_no_command_needs_of_keras_is_not_imported_with_it_and_can_be_later():
    asked = (
        "import sys; from hypertransformer_tf.quiet_import import import_quietly; import_quietly('tensorflow'); "
        "print(sorted({'keras', 'matplotlib', 'pandas', 'sklearn'} & set(sys.modules))); import sklearn, keras"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['keras']"
