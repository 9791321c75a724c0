"""The exceptions whose message a user of the library is meant to read, and that message without additions."""


class UserError(Exception):
    """A value that came from the user (a setting, a path, a file) cannot be used.

    The message is one sentence that names the value, says where it was met and what to do about it.
    Commands print it without a traceback and exit with status 2; everything else that escapes is a bug.
    """


class SaveError(Exception):
    """Something could not be written during a run, such as a checkpoint on a full disk.

    What was saved before is intact. The message is one sentence; commands print it and exit with status 1.
    """


class LostWorkerError(Exception):
    """Another process of a cluster is gone, so that this one cannot go on.

    What was saved before is intact. The message is one sentence; commands print it and exit with status 1.
    """


class StoppedWorkerError(Exception):
    """Another process of a cluster stopped because of an error of its own, which it said before it went.

    What was saved before is intact. The message is one sentence; commands print it and exit with status 1.
    """


def plain_sentence(error: Exception) -> str:
    """The message of an error without the lines that gin adds when it passes through a configurable."""
    return str(error).split("\n  In call to configurable")[0]
