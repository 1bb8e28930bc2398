"""What the paintings share: colours, smooth noise, curves, filled shapes."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def colours(*names):
    return np.array([[int(n[i:i + 2], 16) for i in (0, 2, 4)] for n in names]) / 255


def noise(rng, shape, cell):
    """Smooth noise of about unit variance. Its bumps are `cell` pixels apart: one number, or down and across."""
    down, across = np.broadcast_to(cell, 2)
    knots = rng.normal(0, 1, (int(shape[0] / down) + 3, int(shape[1] / across) + 3)).astype(np.float32)
    size = (int(np.ceil(knots.shape[1] * across)), int(np.ceil(knots.shape[0] * down)))
    wide = Image.fromarray(knots).resize(size, Image.Resampling.BICUBIC)
    return 1.4 * np.asarray(wide)[int(down):, int(across):][:shape[0], :shape[1]]


def curve(points, closed=False, steps=16):
    """A smooth curve through `points` (Catmull-Rom), as a finer polygon."""
    p = np.asarray(points, float)
    p = np.concatenate([p[-1:], p, p[:2]] if closed else [2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    q = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - 3 * c + d - a) * t**3)
    q = q.transpose(1, 0, 2).reshape(-1, 2)
    return q if closed else np.concatenate([q, p[-2:-1]])


def ribbon(points, width, ends=(1.0, 0.3)):
    """The outline of a curve through `points` whose width goes from ends[0] to ends[1] times `width`."""
    line = curve(points)
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-12
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    half = 0.5 * width * np.linspace(ends[0], ends[1], len(line))[:, None]
    return np.concatenate([line + across * half, (line - across * half)[::-1]])


def filled(shape, polygons):
    """Where the polygons (in pixels) are."""
    image = Image.new("L", (shape[1], shape[0]))
    draw = ImageDraw.Draw(image)
    for polygon in polygons:
        draw.polygon([tuple(p) for p in polygon], fill=255)
    return np.asarray(image) > 127


def softened(mask, sigma):
    """The mask, blurred: 0 to 1."""
    image = Image.fromarray((np.asarray(mask, np.float32) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(sigma)), np.float32) / 255


def reduced(picture, width, height):
    """An array of 0 to 1 as a picture of the asked size."""
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).round().astype(np.uint8))
    return image.resize((width, height), Image.Resampling.LANCZOS)
