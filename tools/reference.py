#!/usr/bin/env python3
"""Computes the book's recipe in PyTorch and double precision: the figures that the tests compare with.

It is independent of the Rust code on purpose. Needs torch, numpy, pillow and safetensors; runs on the CPU.

    tools/reference.py --content a.png --style b.png --iterations 30 --out PREFIX

writes PREFIX.json (every iteration's weighted losses, taken before that iteration's Adam step),
PREFIX.safetensors (grad_0, image_0, grad_10, image_10, image_final; 3 x H x W, float32) and
PREFIX.png (the result). Pictures are read at their own size unless --size WxH or --style-size WxH
is given (bilinear with antialiasing, aspect ignored).
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

# VGG-19 up to conv5_1 by torchvision's numbering of `features`: convolutions, then pools; every
# convolution but the last is followed by a ReLU.
CONVS = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28]
POOLED_BEFORE = {5, 10, 19, 28}
# torchvision's ReLU overwrites what it reads, so the recipe's "layers 0 5 10 19 28" and "layer 25"
# are the values after the ReLU. Layer 28 is the exception: no ReLU follows it.
STYLE_TAPS = [0, 5, 10, 19, 28]
CONTENT_TAP = 25
IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]

CONTENT_WEIGHT = 1.0
STYLE_WEIGHT = 1e4
TV_WEIGHT = 10.0
LEARNING_RATE = 0.3
# The network that ships, in two halves.
SHIPPED = [Path(__file__).resolve().parent.parent / "weights" / half / "network" for half in ("first", "second")]
DECAY_EVERY, DECAY = 50, 0.8


def load_weights(path, dtype):
    """(weight, bias) per convolution, and the network's own input mean and std; None is the network that ships."""
    with tempfile.NamedTemporaryFile() as whole:
        for half in [path] if path else SHIPPED:
            whole.write(half.read_bytes())
        whole.flush()
        return read_weights(whole.name, dtype)


def read_weights(path, dtype):
    with safe_open(path, "pt") as f:
        meta = f.metadata() or {}
        names = set(f.keys())
        layers = {}
        for n in CONVS:
            if f"features.{n}.weight.index" in names:
                palette = f.get_tensor(f"features.{n}.weight.palette")
                weight = palette[f.get_tensor(f"features.{n}.weight.index").long()]
            else:
                weight = f.get_tensor(f"features.{n}.weight")
            layers[n] = (weight.to(dtype), f.get_tensor(f"features.{n}.bias").to(dtype))
    mean = json.loads(meta["input_mean"]) if "input_mean" in meta else IMAGENET_MEAN
    std = json.loads(meta["input_std"]) if "input_std" in meta else IMAGENET_STD
    return layers, per_channel(mean, dtype), per_channel(std, dtype)


def per_channel(values, dtype):
    return torch.tensor(values, dtype=dtype).view(3, 1, 1)


def load_picture(path, size, dtype):
    """3 x H x W in 0..1."""
    picture = Image.open(path).convert("RGB")
    if size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).to(dtype) / 255


class Network:
    """Taps of the network for an image X in the recipe's own (ImageNet) normalisation."""

    def __init__(self, path, dtype):
        self.layers, self.mean, self.std = load_weights(path, dtype)
        self.image_mean = per_channel(IMAGENET_MEAN, dtype)
        self.image_std = per_channel(IMAGENET_STD, dtype)

    def __call__(self, x):
        rgb = x * self.image_std + self.image_mean
        h = ((rgb - self.mean) / self.std)[None]
        taps = {}
        for n in CONVS:
            if n in POOLED_BEFORE:
                h = F.max_pool2d(h, 2)
            h = F.conv2d(h, *self.layers[n], padding=1)
            if n != CONVS[-1]:
                h = F.relu(h)
            taps[n] = h
        return taps


def gram(features):
    x = features.reshape(features.shape[1], -1)
    return x @ x.T / x.numel()


def mean_square(a, b):
    return ((a - b) ** 2).mean()


def losses(x, net, content_target, style_targets):
    """The weighted terms: content, style per layer, total variation."""
    taps = net(x)
    content = CONTENT_WEIGHT * mean_square(taps[CONTENT_TAP], content_target)
    style = [
        STYLE_WEIGHT * mean_square(gram(taps[n]), target)
        for n, target in zip(STYLE_TAPS, style_targets)
    ]
    vertical = (x[:, 1:] - x[:, :-1]).abs().mean()
    horizontal = (x[:, :, 1:] - x[:, :, :-1]).abs().mean()
    tv = TV_WEIGHT * 0.5 * (vertical + horizontal)
    return content, style, tv


def size_of(text):
    width, height = text.split("x")
    return int(width), int(height)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", required=True, type=Path)
    parser.add_argument("--style", required=True, type=Path)
    parser.add_argument("--weights", type=Path, help="another network than the one that ships")
    parser.add_argument("--size", type=size_of, metavar="WxH")
    parser.add_argument("--style-size", type=size_of, metavar="WxH")
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--dtype", choices=["float64", "float32"], default="float64")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", required=True, metavar="PREFIX")
    return parser.parse_args()


def main():
    args = arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype)
    net = Network(args.weights, dtype)
    content = load_picture(args.content, args.size, dtype)
    style = load_picture(args.style, args.style_size, dtype)

    with torch.no_grad():
        start = (content - net.image_mean) / net.image_std
        content_target = net(start)[CONTENT_TAP]
        style_taps = net((style - net.image_mean) / net.image_std)
        style_targets = [gram(style_taps[n]) for n in STYLE_TAPS]

    x = start.clone().requires_grad_()
    adam = torch.optim.Adam([x], lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)
    schedule = torch.optim.lr_scheduler.StepLR(adam, DECAY_EVERY, DECAY)

    rows, kept = [], {}
    for iteration in range(args.iterations):
        adam.zero_grad()
        content_loss, style_losses, tv_loss = losses(x, net, content_target, style_targets)
        style_loss = sum(style_losses)
        total = content_loss + style_loss + tv_loss
        total.backward()
        rows.append({
            "iteration": iteration,
            "content": content_loss.item(),
            "style": style_loss.item(),
            "style_layers": [value.item() for value in style_losses],
            "tv": tv_loss.item(),
            "total": total.item(),
        })
        if iteration in (0, 10):
            kept[f"image_{iteration}"] = x.detach().clone()
            kept[f"grad_{iteration}"] = x.grad.detach().clone()
        adam.step()
        schedule.step()
        print(f"{iteration:4d}  total {total.item():.6f}", flush=True)
    kept["image_final"] = x.detach().clone()

    report = {
        "content": args.content.name,
        "style": args.style.name,
        "dtype": str(dtype),
        "content_weight": CONTENT_WEIGHT,
        "style_weight": STYLE_WEIGHT,
        "tv_weight": TV_WEIGHT,
        "learning_rate": LEARNING_RATE,
        "lr_decay": f"x{DECAY} every {DECAY_EVERY}",
        "losses": rows,
    }
    Path(f"{args.out}.json").write_text(json.dumps(report, indent=1) + "\n")
    save_file({k: v.float().contiguous() for k, v in kept.items()}, f"{args.out}.safetensors")
    rgb = (x.detach() * net.image_std + net.image_mean).clamp(0, 1)
    Image.fromarray((rgb * 255).round().byte().permute(1, 2, 0).numpy()).save(f"{args.out}.png")


if __name__ == "__main__":
    main()
