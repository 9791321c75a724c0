"""What the commands in this folder share: finding, or making once, a Python environment to run in.

A command runs in the Python that started it if everything it needs is installed there. Otherwise it
makes `.venv` beside this folder, installs the library into it, and goes on in it. Only Python's own
library is used, and nothing newer than Python 3.6 understands, so that any Python can say what is wrong.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
CONSTRAINTS = os.path.join("constraints", "current-%s.txt")  # of a Python's version
OLDEST, NEWEST = (3, 10), (3, 13)
NEEDED = (
    "tensorflow",
    "tensorboard",
    "tensorflow_datasets",
    "importlib_resources",
    "keras",
    "gin",
    "absl",
    "numpy",
    "PIL",
    "safetensors",
    "rich",
    "sklearn",
)
NEEDED_FOR_TESTS = ("pytest",)
OLDEST_TENSORFLOW, FIRST_UNTRIED_TENSORFLOW = (2, 15), (2, 22)
STARTED, READY, LOG = ".set-up-started", ".set-up-ready", "set-up.log"  # in .venv: how far its set-up came


class SetUpError(Exception):
    """The environment cannot be made; the message is one sentence."""


def run_command(module, extra=""):
    """Runs `main()` of a module of the package with sys.argv.

    Its flags are read before anything is set up: help and a mistyped flag need no environment. `extra` is
    installed too where one is made; whoever brings an environment without it is told by the command.
    """
    _go_on_in_supported_python(extra or "run")
    sys.path.insert(0, ROOT)
    missing = _missing(NEEDED)
    if missing:
        _go_on_in_ready_environment(extra or "run")
        with _reported():
            importlib.import_module("hypertransformer_tf.commands.cli").check_flags(module)
            _go_on_in_new_environment(missing, extra)
    sys.exit(importlib.import_module(module).main())


def ensure_test_environment():
    """Returns if this Python can run the tests; otherwise goes on in .venv and does not return."""
    _go_on_in_supported_python("dev")
    missing = _missing(NEEDED + NEEDED_FOR_TESTS)
    if missing:
        _go_on_in_ready_environment("dev")
        with _reported():
            _go_on_in_new_environment(missing, extra="dev")


@contextlib.contextmanager
def _reported():
    try:
        yield
    except SetUpError as error:
        _say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        _say("Set-up interrupted: the same command starts it again.")
        sys.exit(130)


def _go_on_in_supported_python(kind):
    """Returns if this Python is of a supported version; otherwise goes on in one that is and does not return.

    This comes before everything else: what is installed for an unsupported Python says nothing.
    """
    if _supported(sys.version_info):
        return
    _go_on_in_ready_environment(kind)
    with _reported():
        if _runs_in_venv():
            raise SetUpError(
                "%s has Python %d.%d, and 3.%d to 3.%d is needed: remove it and start again."
                % ((VENV,) + tuple(sys.version_info[:2]) + (OLDEST[1], NEWEST[1]))
            )
        _exec_script(_find_python())


def _missing(needed):
    """What of `needed` this Python lacks; a TensorFlow too old or too new counts as missing."""
    missing = [name for name in needed if not importable(name)]
    if "tensorflow" not in missing and not OLDEST_TENSORFLOW <= _tensorflow_version() < FIRST_UNTRIED_TENSORFLOW:
        missing.append("tensorflow %d.%d or newer, before %d.%d" % (OLDEST_TENSORFLOW + FIRST_UNTRIED_TENSORFLOW))
    return missing


def _tensorflow_version():
    try:
        import importlib.metadata as metadata  # late: Python 3.6 and 3.7 have none

        return tuple(int(part) for part in metadata.version("tensorflow").split(".")[:2])
    except (ImportError, ValueError):  # installed under another name, such as tensorflow-cpu
        return OLDEST_TENSORFLOW


def _go_on_in_ready_environment(kind):
    """Goes on in .venv, and does not return, if it was set up for this from the present requirements."""
    ready = _read(os.path.join(VENV, READY)).split()
    if ready[:1] == [_fingerprint()] and kind in ready[1:] and not _runs_in_venv():
        _hand_over()


def _go_on_in_new_environment(missing, extra):
    """Sets .venv up and goes on in it; does not return."""
    if not _set_up(extra, missing) and _runs_in_venv():
        raise SetUpError("%s was set up but lacks %s: remove it and start again." % (VENV, ", ".join(missing)))
    _hand_over()


def _hand_over():
    _exec_script(os.path.join(VENV, "bin", "python"))


def _runs_in_venv():
    return os.path.realpath(sys.prefix) == os.path.realpath(VENV)


def _exec_script(python):
    os.execv(python, [python] + sys.argv)


def importable(name):
    return importlib.util.find_spec(name) is not None


def _set_up(extra, missing):
    """Makes .venv, or completes it; False if it is ready, as another command has just made it so."""
    kind = extra or "run"
    with open(VENV + ".lock", "w") as lock:
        _wait_for(lock)
        requirements = _fingerprint()
        ready = _read(os.path.join(VENV, READY)).split()
        if ready[:1] == [requirements] and kind in ready[1:]:
            return False
        if extra and ready[:1] == [requirements]:
            _say("Adding what this command needs beside the library to %s, once ([%s])." % (VENV, extra))
        else:
            _say("%s not found for %s: setting up %s, once." % (", ".join(missing), sys.executable, VENV))
            if not ready:
                _make_venv()
            _say("pip installs the library and TensorFlow, about 2 GB; this takes some minutes.")
        _pip("--upgrade", "pip>=24.1")  # older ones can take an hour to choose versions
        _pip("-c", CONSTRAINTS % _version_in_venv(), "-e", ".[%s]" % extra if extra else ".")
        kinds = {"run", kind} | (set(ready[1:]) if ready[:1] == [requirements] else set())
        with open(os.path.join(VENV, READY), "w") as file:
            file.write(" ".join([_fingerprint()] + sorted(kinds)))  # the version is known only now
        _say("%s is ready." % VENV)
    return True


def _wait_for(lock):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("Another command is setting up %s: waiting for it." % VENV)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _make_venv():
    """Makes .venv afresh. One of an interrupted set-up is removed, one that somebody else made is not."""
    # The real path, as this Python may be the half-made .venv's own.
    python = os.path.realpath(sys.executable) if _runs_in_venv() else sys.executable
    if os.path.lexists(VENV):
        if not os.path.exists(os.path.join(VENV, STARTED)):
            raise SetUpError(
                "%s was not made by this command and lacks what it needs: activate it and run "
                "`pip install -c %s -e .`, or move it away." % (VENV, CONSTRAINTS % (_version_in_venv() or "3.N"))
            )
        _say("The last set-up of %s was interrupted: starting it again." % VENV)
        shutil.rmtree(VENV)
    os.mkdir(VENV)
    open(os.path.join(VENV, STARTED), "w").close()
    if subprocess.call([python, "-m", "venv", VENV], stdout=sys.stderr) != 0:
        raise SetUpError(
            "%s cannot make a virtual environment: install its venv module (on Debian and Ubuntu "
            "`apt install python3-venv`), or run this command in an environment of your own." % python
        )


def _version_in_venv():
    """Of the Python that .venv was made with, which need not be the one that runs this; "" if that is not known."""
    for line in _read(os.path.join(VENV, "pyvenv.cfg")).splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "version":
            return ".".join(value.strip().split(".")[:2])
    return ""


def _pip(*arguments):
    """Runs pip in .venv, showing what it is at; all that it says goes to a file in .venv."""
    log = os.path.join(VENV, LOG)
    command = [os.path.join(VENV, "bin", "python"), "-m", "pip", "install"] + list(arguments)
    with open(log, "ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        try:
            _show_progress(process, log)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode != 0:
        _say("\n".join(_last_lines(log, 15)))
        raise SetUpError(
            "pip could not set up %s, for the reason above (all of it is in %s): start the same command "
            "again when it is mended." % (VENV, log)
        )


def _show_progress(process, log):
    # On standard error, as what the command itself says may be read by a program.
    started, terminal = time.time(), sys.stderr.isatty()
    while True:
        try:
            process.wait(1 if terminal else 15)
            break
        except subprocess.TimeoutExpired:
            line = "  %3d s  %s" % (time.time() - started, "".join(_last_lines(log, 1))[:100])
            sys.stderr.write("\r\033[K" + line if terminal else line + "\n")
            sys.stderr.flush()
    if terminal:
        sys.stderr.write("\r\033[K")


def _last_lines(path, count):
    with open(path, "rb") as file:
        lines = file.read().decode(errors="replace").splitlines()
    # Without pip's notes on package indexes of this machine and its progress bars.
    told = [line.strip() for line in lines if not line.startswith("WARNING") and "\u2501" not in line]
    return [line for line in told if line][-count:]


def _supported(version):
    return OLDEST <= tuple(version[:2]) <= NEWEST


def _find_python():
    """A Python of a supported version on PATH, the newest first."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        python = shutil.which("python3.%d" % minor)
        # It is run, as a name on PATH may be a stand-in for a version that is not installed.
        if python and subprocess.call([python, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
            return python
    raise SetUpError(
        "Python 3.%d to 3.%d is needed and this is %d.%d (%s): install one of them, or put it on PATH."
        % (OLDEST[1], NEWEST[1], sys.version_info[0], sys.version_info[1], sys.executable)
    )


def _fingerprint():
    """Of the files that say what is to be installed: .venv is brought up to date when they change."""
    digest = hashlib.sha256()
    for name in ("setup.cfg", CONSTRAINTS % _version_in_venv()):
        digest.update(_read(os.path.join(ROOT, name)).encode())
    return digest.hexdigest()[:16]


def _read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _say(sentence):
    print(sentence, file=sys.stderr, flush=True)
