"""Predicts what many devices would do with a configuration, from what one machine was measured to need.

bin/benchmark --gin_file=gin/omniglot_4layer_fast.gin --costs --json > measured.json
python docs/scaling/predict.py measured.json --gigabits=100 --microseconds=20 --device_speed=50
"""

import argparse

from hypertransformer_tf.benchmarks.scaling_model import DEVICES, Cluster, Measured, predict, table
from hypertransformer_tf.commands import cli


def _predict(arguments: argparse.Namespace) -> None:
    measured = Measured.read(arguments.measured)
    bandwidth, latency = arguments.gigabits * 1e9 / 8, arguments.microseconds * 1e-6
    cluster = Cluster(bandwidth, latency, arguments.device_speed, arguments.devices_per_process)
    speed = f"each {cluster.device_speed:g} times as fast as a device of " if cluster.device_speed != 1 else ""
    print(
        f"Devices: {speed}the measured machine ({measured.machine}), joined by {arguments.gigabits:g} Gbit/s with "
        f"{arguments.microseconds:g} microseconds a message, {cluster.devices_per_process} to a process."
    )
    for growing, title in ((True, "The task batch grows with the devices"), (False, "The task batch stays as it is")):
        print(f"\n{title}:\n")
        print(table([predict(measured, cluster, devices, growing) for devices in DEVICES]))


def main() -> int:
    number = cli.positive_number
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measured", help="what bin/benchmark --costs --json printed")
    parser.add_argument("--gigabits", type=number, default=100.0, help="per second and device, each way")
    parser.add_argument("--microseconds", type=number, default=20.0, help="until a message arrives")
    parser.add_argument("--device_speed", type=number, default=1.0, help="assumed speed of a device, 1 as measured")
    parser.add_argument("--devices_per_process", type=cli.at_least(1), default=8)
    arguments = parser.parse_args()
    return cli.run(lambda: _predict(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
