#!/usr/bin/env python3
"""What an open page costs a run, in one run: a watcher comes and goes, and the pace with it is compared with that without.

    tools/live_pace.py [PROGRAM] [--size N] [--pairs N] [--seconds N]

A watcher does what the page does: it reads the events, and fetches each new picture. With and without take turns in pairs
(with, without; without, with; ...), so that a slow drift of the machine's pace falls on both. It needs no browser, whose own
work would be measured, too.
"""
import argparse
import json
import re
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "assets"


class Watcher(threading.Thread):
    """An open page."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.open, self.pictures = address, True, 0

    def run(self):
        with urllib.request.urlopen(self.address + "events") as events:
            kind = None
            for line in events:
                if not self.open:
                    return
                kind = line[7:].strip() if line.startswith(b"event: ") else kind
                if kind == b"picture" and line.startswith(b"data: "):
                    version = json.loads(line[6:])["version"]
                    urllib.request.urlopen(f"{self.address}picture?version={version}").read()
                    self.pictures += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=ROOT / "target/release/impasto")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=8, help="of each half of a pair")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.Popen(
            [options.program, "stylize", PICTURES / "photo.jpg", PICTURES / "painting.jpg", "-o", f"{folder}/out.png", "--preset", "book", "--json",
             "--size", str(options.size), "--iterations", "1000000", "--live"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            measure(run, options)
        finally:
            run.kill()


def measure(run, options):
    done = []
    address = None
    while address is None:
        found = re.search(r"live at (http://\S+)", run.stderr.readline())
        address = found and found.group(1)
    threading.Thread(target=lambda: [None for _ in run.stderr], daemon=True).start()

    def count():
        for line in run.stdout:
            if '"event":"iteration"' in line:
                done.append(time.monotonic())

    threading.Thread(target=count, daemon=True).start()
    while len(done) < 20:
        time.sleep(0.1)

    def pace(watched):
        """Seconds of an iteration."""
        watcher = Watcher(address) if watched else None
        if watcher:
            watcher.start()
        time.sleep(1)
        first, begin = len(done), done[-1]
        time.sleep(options.seconds)
        seconds = (done[-1] - begin) / (len(done) - first)
        if watcher:
            watcher.open = False
            pictures.append(watcher.pictures / (options.seconds + 1))
            watcher.join(5)
        return seconds

    pictures, ratios = [], []
    for pair in range(options.pairs):
        order = [True, False] if pair % 2 == 0 else [False, True]
        found = {watched: pace(watched) for watched in order}
        ratios.append(found[True] / found[False])
        print(f"{found[True]:.4f} s with a page, {found[False]:.4f} s without: {ratios[-1]:.3f}", flush=True)
    error = statistics.stdev(ratios) / len(ratios) ** 0.5
    print(f"{len(ratios)} pairs: median {statistics.median(ratios):.3f}, mean {statistics.mean(ratios):.3f} +- {error:.3f}; "
          f"{statistics.mean(pictures):.1f} pictures per second")


main()
