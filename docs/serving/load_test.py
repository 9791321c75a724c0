#!/usr/bin/env python3
"""Measures an exported model behind a loopback server: requests a second and latency, by the largest batch.

  python load_test.py served/omniglot/1

Starts `loopback_server.py` as a process for every row and asks it from threads, each of which sends its next request
when the last one is answered. It only talks to this machine, and ends by itself.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Dict, List

import client as serving_client
import numpy as np

_SERVER = pathlib.Path(__file__).with_name("loopback_server.py")


def measure(ask: Callable[[], Any], threads: int, seconds: float) -> Dict[str, float]:
    """Requests a second, and median and 99th percentile of the latency in milliseconds."""
    latencies: List[List[float]] = [[] for _ in range(threads)]
    start = time.perf_counter() + 1.0  # what is asked before is to warm up
    end = start + seconds

    def work(mine: List[float]) -> None:
        while (begun := time.perf_counter()) < end:
            ask()
            if begun >= start:
                mine.append(time.perf_counter() - begun)

    workers = [threading.Thread(target=work, args=(mine,)) for mine in latencies]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    everything = np.concatenate([np.array(mine) for mine in latencies])
    p50, p99 = np.percentile(everything, [50, 99]) * 1e3
    return {"requests_per_second": len(everything) / seconds, "p50_ms": float(p50), "p99_ms": float(p99)}


def measure_server(directory: str, signature: str, max_batch_size: int, threads: int, seconds: float) -> Dict[str, Any]:
    """A row of the table: a server with this largest batch, asked by this many threads."""
    command = [sys.executable, str(_SERVER), directory, "--port=0", f"--max_batch_size={max_batch_size}"]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=quiet, text=True) as server:
        try:
            client = serving_client.Client(f"127.0.0.1:{int(server.stdout.readline())}", timeout=60.0)
            ask = _question(client, directory, signature)
            ask()
            return {
                "signature": signature,
                "max_batch_size": max_batch_size,
                "clients": threads,
                **measure(ask, threads, seconds),
            }
        finally:
            server.terminate()


def _question(client: serving_client.Client, directory: str, signature: str) -> Callable[[], Any]:
    """5-way 1-shot (fewer ways if the model has fewer), one query."""
    description = json.loads((pathlib.Path(directory) / "assets.extra" / "model.json").read_text())
    shape, ways = tuple(description["image_shape"]), min(5, description["n_way"])
    pictures = np.random.default_rng(0).integers(0, 256, (ways + 1, *shape), dtype=np.uint8)
    support, query, labels = pictures[:ways], pictures[ways:], list(range(ways))
    if signature == "few_shot":
        return lambda: client.few_shot(support, labels, query)
    weights = client.generate(support, labels)
    return lambda: client.classify(weights, query)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", help="of the SavedModel, with its version")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each row (default: 5)")
    parser.add_argument("--batch_sizes", default="1,4,16,32", help="largest batches (default: 1,4,16,32)")
    parser.add_argument("--clients", type=int, default=64, help="threads that ask at the same time (default: 64)")
    parser.add_argument("--json", metavar="FILE", help="where the rows go")
    flags = parser.parse_args()
    rows = []
    print("| signature | largest batch | requests/s | p50 ms | p99 ms |\n| --- | --- | --- | --- | --- |", flush=True)
    for signature in ("few_shot", "classify"):
        for size in map(int, flags.batch_sizes.split(",")):
            row = measure_server(flags.directory, signature, size, flags.clients, flags.seconds)
            rows.append(row)
            numbers = f"{row['requests_per_second']:.0f} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f}"
            print(f"| {signature} | {size} | {numbers} |", flush=True)
    if flags.json:
        pathlib.Path(flags.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
