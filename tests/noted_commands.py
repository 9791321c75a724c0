"""Stands in for the commands that bin/reproduce runs, so that rows are done at once."""

import json
import os

from small_runs import own_configuration

from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.reproduce import reproduce

FIRST, SECOND = "omniglot_5shot_logits_only_4ch", "omniglot_1shot_logits_only_4ch"
BESIDE_SECOND = "omniglot_1shot_prototypical_4ch"


class Commands:
    """Stands in for the commands: notes what is asked, and leaves behind what training would."""

    def __init__(self):
        self.asked = []
        self.fails = {}

    def __call__(self, name, flags, log=None):
        values = dict(flag.removeprefix("--").split("=", 1) for flag in flags if "=" in flag)
        self.asked.append((name, values))
        if name == "benchmark":
            return self._speeds([flag.split("=", 1)[1] for flag in flags if flag.startswith("--beside=")])
        if name == "evaluate":
            return json.dumps({"accuracy": 0.9})
        row = values["run_dir"].split(os.sep)[-2]
        if row in self.fails:
            raise self.fails[row]
        self._leave_a_run(values)
        return ""

    def _speeds(self, beside):
        if not beside:
            return json.dumps({"episodes_per_second": 40.0})
        if "beside" in self.fails:
            raise self.fails["beside"]
        speeds = [{"episodes_per_second": 40.0 / (place + 1)} for place in range(len(beside) + 1)]
        return json.dumps({"speeds": speeds})

    def _leave_a_run(self, values):
        folder = values["run_dir"]
        os.makedirs(folder, exist_ok=True)
        text = open(values["gin_file"], encoding="utf-8").read()
        step = int(text.split("training.steps = ")[1].split()[0]) if "training.steps" in text else 0
        start = {
            "started": "2024-01-02T03:00:00+00:00",
            "ended": "2024-01-02T03:01:00+00:00",
            "machine": {"processor": "a processor", "cores": 2},
            "versions": {},
            "git_revision": None,
        }
        contents = {
            "config.json": {"training": {"task_batch": 8}},
            "run.json": {"starts": [start]},
            "metrics.jsonl": {"step": step, "test/accuracy": 0.5 + int(values["seed"]) / 10, "test/interval_95": 0.01},
        }
        for name, content in contents.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(json.dumps(content) + "\n")

    def trained(self):
        return [values["run_dir"].split(os.sep)[-2:] for name, values in self.asked if name == "train"]


def run(rows=(FIRST, SECOND), budget=Budget(steps=40), **settings):
    said = []
    with own_configuration():
        done = reproduce(rows=rows, budget=budget, say=said.append, **settings)
    return done, "\n".join(said)
