#!/usr/bin/env python3
"""An iteration of impasto beside one of PyTorch, in turn on the same processor threads.

Both run the same network, pictures and losses (those of reference.py) in float32, with one thread per processor. Needs torch,
numpy, pillow and safetensors, and the program, built.

    tools/beside_pytorch.py --size 288x192 --turns 8

prints the seconds of both, turn by turn, and the median of their ratios. PyTorch's time is the median of ten iterations after a
first one that is not counted. The time of impasto is the difference of two runs over the difference of their iterations, so that
the start of the program drops out.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch

import reference

HERE = Path(__file__).resolve().parent.parent
ITERATIONS = (4, 14)


def pytorch(net, content, style):
    """Seconds of an iteration."""
    with torch.no_grad():
        start, painting = ((p - net.image_mean) / net.image_std for p in (content, style))
        content_target = net(start)[reference.CONTENT_TAP]
        taps = net(painting)
        style_targets = [reference.gram(taps[n]) for n in reference.STYLE_TAPS]
    x = start.clone().requires_grad_()
    adam = torch.optim.Adam([x], lr=reference.LEARNING_RATE, fused=True)
    times = []
    for _ in range(11):
        began = time.perf_counter()
        adam.zero_grad()
        content_loss, style_losses, tv_loss = reference.losses(x, net, content_target, style_targets)
        (content_loss + sum(style_losses) + tv_loss).backward()
        adam.step()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def impasto(program, size, threads, folder):
    """Seconds of an iteration on lavapipe with `threads` threads."""
    environment = {**os.environ, "LP_NUM_THREADS": str(threads)}

    def run(iterations):
        pictures = [HERE / "assets/photo.jpg", HERE / "assets/painting.jpg"]
        command = [program, "stylize", *pictures, "-o", Path(folder) / "out.png", "--json", "--quiet"]
        command += ["--size", size, "--style-size", size, "--iterations", str(iterations)]
        command += ["--adapter", "llvmpipe"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return json.loads(done.stdout.splitlines()[-1])["seconds"]

    few, many = ITERATIONS
    return (run(many) - run(few)) / (many - few)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="288x192", metavar="WxH")
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--program", type=Path, default=HERE / "target/release/impasto")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    net = reference.Network(None, torch.float32)
    size = reference.size_of(args.size)
    pictures = [
        reference.load_picture(HERE / "assets" / name, size, torch.float32)
        for name in ("photo.jpg", "painting.jpg")
    ]
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        impasto(args.program, args.size, args.threads, folder)  # compiles the shaders
        print("PyTorch, s  impasto, s  ratio")
        for _ in range(args.turns):
            theirs = pytorch(net, *pictures)
            ours = impasto(args.program, args.size, args.threads, folder)
            ratios.append(ours / theirs)
            print(f"{theirs:10.3f}  {ours:10.3f}  {ratios[-1]:5.2f}", flush=True)
    print(f"median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
