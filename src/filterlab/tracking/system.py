"""System metrics: what the machine does while a run is under way, sampled under the names by which MLflow's pages show them."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from filterlab.tracking.writer import Writer

SECONDS = 5.0  # between two samples, unless MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL says it
MEGABYTE = 1e6


def sample() -> dict[str, float]:
    """Percent and megabytes, by name; the network's since the machine has started."""
    memory, disk, network = psutil.virtual_memory(), psutil.disk_usage("."), psutil.net_io_counters()
    found = {
        "cpu_utilization_percentage": psutil.cpu_percent(),  # since the last sample
        "system_memory_usage_megabytes": memory.used / MEGABYTE,
        "system_memory_usage_percentage": memory.used / memory.total * 100,
        "disk_usage_percentage": disk.percent,
        "disk_usage_megabytes": disk.used / MEGABYTE,
        "disk_available_megabytes": disk.free / MEGABYTE,
    }
    if network:  # a namespace may have none
        found["network_receive_megabytes"] = network.bytes_recv / MEGABYTE
        found["network_transmit_megabytes"] = network.bytes_sent / MEGABYTE
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        # Of the others, to ask would take some of their memory, and fail where another process has one to itself.
        for card in (card for card in range(torch.cuda.device_count()) if torch.cuda.memory_reserved(card)):
            free, total = torch.cuda.mem_get_info(card)
            found[f"gpu_{card}_memory_usage_megabytes"] = (total - free) / MEGABYTE
            found[f"gpu_{card}_memory_usage_percentage"] = (total - free) / total * 100
    return {f"system/{name}": number for name, number in found.items()}


@contextmanager
def sampled(writer: Writer) -> Iterator[None]:
    """For the time of the block samples go to the spool, by a thread; of a run that goes on they are counted on."""
    ended = threading.Event()
    seconds = float(os.environ.get("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", SECONDS))
    first = max((steps[-1] + 1 for name, steps in writer.logged.of.items() if name.startswith("system/")), default=0)

    def run() -> None:
        psutil.cpu_percent()
        step = first
        while not ended.wait(seconds):
            writer.add_metrics(sample(), step=step, once=True)
            step += 1

    thread = threading.Thread(target=run, name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
