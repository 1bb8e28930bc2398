#!/usr/bin/env python3
"""Computes the painterly recipe at one size in PyTorch and double precision: the figures that the tests compare with.

It is independent of the Rust code on purpose: gradients come from automatic differentiation, square roots from
eigenvalues. Needs torch, numpy, pillow and safetensors; runs on the CPU.

    tools/reference_painterly.py --content a.png --style b.png --out PREFIX

starts from the content, without finish and without settling, and writes PREFIX.json and PREFIX.safetensors.

PREFIX.json has every iteration's weighted losses, taken before that iteration's Adam step and without the objective's
factor 3 H W. It also has two figures of the finish at iteration 0: `nearest_0`, the nearest-neighbour term's parts by
layer, which add up to it, and `finish_weight_0`, the factor that makes its gradient as long as the style term's.

PREFIX.safetensors (3 x H x W, float32) has the picture, rgb in 0..1, at the beginning of iterations 0 and 6 and after
the last (image_0, image_6, image_final), the gradient of the objective without its factor by the picture (grad_0,
grad_6), and that of the nearest-neighbour term before its weight (grad_nearest_0).

With --check PREFIX nothing is written: the figures are compared with those of the files PREFIX.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from reference import CONVS, POOLED_BEFORE, Network, load_picture, mean_square
from safetensors.torch import load_file, save_file

# By torchvision's numbering of `features`, always after the ReLU: relu1_1, relu2_1, relu3_1, relu4_1, relu5_1.
STYLE_TAPS = [0, 5, 10, 19, 28]
STYLE_LAYER_WEIGHTS = [16, 8, 4, 2, 1]
# relu4_2.
CONTENT_TAP = 21
# relu2_2, relu3_3, relu4_1.
NEAREST_TAPS = [7, 14, 19]

CONTENT_WEIGHT = 0.08
TV_WEIGHT = 0.5
# What is added to the diagonals of covariances, as a share of the energy.
RIDGE = 0.01
LEARNING_RATE = 0.02
BETAS = (0.9, 0.99)
EPSILON = 2.6e-3
KEPT = (0, 6)


class ReplicatedEdge(Network):
    """Features after every ReLU, channels x sites, of a picture of rgb in 0..1. The first convolution sees the nearest
    pixel beyond the picture's edge, all later ones zeros."""

    def __call__(self, rgb):
        h = F.pad(((rgb - self.mean) / self.std)[None], (1, 1, 1, 1), mode="replicate")
        taps = {}
        for n in CONVS:
            if n in POOLED_BEFORE:
                h = F.max_pool2d(h, 2)
            h = F.relu(F.conv2d(h, *self.layers[n], padding=0 if n == 0 else 1))
            taps[n] = h[0].flatten(1)
        return taps


def moments(x):
    """Mean, channels x 1, and covariance of the sites."""
    mean = x.mean(1, keepdim=True)
    return mean, (x - mean) @ (x - mean).T / x.shape[1]


def symmetric_root(a):
    values, vectors = torch.linalg.eigh(a)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


class Gaussian:
    """The painting's features of a layer as a Gaussian, and the squared Wasserstein-2 distance to it."""

    def __init__(self, features):
        self.energy = (features**2).mean()
        self.mean, covariance = moments(features)
        self.covariance = self.ridged(covariance)
        self.root = symmetric_root(self.covariance)

    def ridged(self, covariance):
        return covariance + RIDGE * self.energy * torch.eye(len(covariance), dtype=covariance.dtype)

    def distance(self, features):
        """Per channel, as a share of the energy."""
        mean, covariance = moments(features)
        covariance = self.ridged(covariance)
        between = self.root @ covariance @ self.root
        # The trace of the root: its derivative needs no differences of eigenvalues, of which some are equal.
        root_trace = torch.linalg.eigvalsh((between + between.T) / 2).clamp(min=0).sqrt().sum()
        spread = covariance.trace() + self.covariance.trace() - 2 * root_trace
        return (mean_square(mean, self.mean) + spread / len(covariance)) / self.energy


def total_variation(rgb):
    """The nine-point form: squared differences to the right and down, and along both diagonals, of the picture with one
    replicated pixel around it."""
    p = F.pad(rgb[None], (1, 1, 1, 1), mode="replicate")[0]
    right = mean_square(p[:, 1:-1, 2:], p[:, 1:-1, 1:-1])
    down = mean_square(p[:, 2:, 1:-1], p[:, 1:-1, 1:-1])
    falling = mean_square(p[:, 1:, 1:], p[:, :-1, :-1])
    rising = mean_square(p[:, 1:, :-1], p[:, :-1, 1:])
    return 2 * (right / 3 + down / 3 + falling / 12 + rising / 12)


def nearest(features, painting):
    """Mean over the sites of 1 - cos to the nearest site of the painting, both without the painting's mean."""
    mean = painting.mean(1, keepdim=True)
    x, y = F.normalize(features - mean, dim=0), F.normalize(painting - mean, dim=0)
    # Which neighbour is nearest is held fixed while the gradient is taken.
    chosen = (x.detach().T @ y).argmax(1)
    return 1 - (x * y[:, chosen]).sum(0).mean()


def gradient(loss, x):
    return torch.autograd.grad(loss, x, retain_graph=True)[0]


class Recipe:
    """The objective at one size for a photograph and a painting."""

    def __init__(self, net, content, style):
        self.net = net
        with torch.no_grad():
            self.photograph = net(content)[CONTENT_TAP]
            self.painting = net(style)
            self.gaussians = [Gaussian(self.painting[n]) for n in STYLE_TAPS]

    def losses(self, x):
        """The weighted terms without the factor 3 H W: content, style per layer, total variation."""
        taps = self.net(x)
        content = CONTENT_WEIGHT * mean_square(taps[CONTENT_TAP], self.photograph) / (self.photograph**2).mean()
        style = [
            weight / sum(STYLE_LAYER_WEIGHTS) * gaussian.distance(taps[n])
            for n, weight, gaussian in zip(STYLE_TAPS, STYLE_LAYER_WEIGHTS, self.gaussians)
        ]
        return content, style, TV_WEIGHT * total_variation(x)

    def finish(self, x):
        """The nearest-neighbour term's parts by layer, its gradient, and the weight that the finish would give it."""
        taps = self.net(x)
        parts = [nearest(taps[n], self.painting[n]) / len(NEAREST_TAPS) for n in NEAREST_TAPS]
        by_nearest = gradient(sum(parts), x)
        by_style = gradient(sum(self.losses(x)[1]), x)
        return [part.item() for part in parts], by_nearest, (by_style.norm() / by_nearest.norm()).item()


def optimise(recipe, content, iterations):
    """The losses of every iteration, and the tensors that are kept."""
    x = content.clone().requires_grad_()
    adam = torch.optim.Adam([x], lr=LEARNING_RATE, betas=BETAS, eps=EPSILON)
    rows, kept = [], {}
    for iteration in range(iterations):
        content_loss, style_losses, tv_loss = recipe.losses(x)
        style_loss = sum(style_losses)
        total = content_loss + style_loss + tv_loss
        slope = gradient(total, x)
        rows.append({
            "iteration": iteration,
            "content": content_loss.item(),
            "style": style_loss.item(),
            "style_layers": [value.item() for value in style_losses],
            "tv": tv_loss.item(),
            "total": total.item(),
        })
        if iteration in KEPT:
            kept[f"image_{iteration}"] = x.detach().clone()
            kept[f"grad_{iteration}"] = slope
        x.grad = x.numel() * slope
        adam.step()
        with torch.no_grad():
            x.clamp_(0, 1)
        print(f"{iteration:4d}  total {total.item():.6f}", flush=True)
    kept["image_final"] = x.detach().clone()
    return rows, kept


def compare(report, kept, prefix):
    """Prints how far the figures are from those of the files `prefix`."""
    others = json.loads(Path(f"{prefix}.json").read_text())
    for key in ("nearest_0", "finish_weight_0"):
        if key in others:
            print(f"{key}: {report[key]} and {others[key]}")
    for row, other in zip(report["losses"], others["losses"]):
        keys = ("content", "style", "tv", "total")
        pairs = [(row[key], other[key]) for key in keys] + list(zip(row["style_layers"], other["style_layers"]))
        worst = max(abs(a - b) for a, b in pairs) / other["total"]
        print(f"iteration {row['iteration']}: losses off by {worst:.1e} of the total at most")
    tensors = load_file(f"{prefix}.safetensors")
    for key, value in kept.items():
        if key in tensors:
            other = tensors[key].double()
            print(f"{key}: off by {((value.double() - other).norm() / other.norm()).item():.1e}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", required=True, type=Path)
    parser.add_argument("--style", required=True, type=Path)
    parser.add_argument("--weights", type=Path, help="another network than the one that ships")
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--dtype", choices=["float64", "float32"], default="float64")
    parser.add_argument("--threads", type=int)
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument("--out", metavar="PREFIX")
    goal.add_argument("--check", metavar="PREFIX")
    return parser.parse_args()


def main():
    args = arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype)
    content, style = (load_picture(path, None, dtype) for path in (args.content, args.style))
    recipe = Recipe(ReplicatedEdge(args.weights, dtype), content, style)
    nearest_0, grad_nearest_0, finish_weight_0 = recipe.finish(content.clone().requires_grad_())
    rows, kept = optimise(recipe, content, args.iterations)
    kept["grad_nearest_0"] = grad_nearest_0
    report = {
        "content": args.content.name,
        "style": args.style.name,
        "dtype": str(dtype),
        "content_weight": CONTENT_WEIGHT,
        "tv_weight": TV_WEIGHT,
        "learning_rate": LEARNING_RATE,
        "nearest_0": nearest_0,
        "finish_weight_0": finish_weight_0,
        "losses": rows,
    }
    if args.check:
        compare(report, kept, args.check)
    else:
        Path(f"{args.out}.json").write_text(json.dumps(report, indent=1) + "\n")
        save_file({k: v.float().contiguous() for k, v in kept.items()}, f"{args.out}.safetensors")


if __name__ == "__main__":
    main()
