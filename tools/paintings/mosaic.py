"""A mosaic: a peacock under a pomegranate tree.

The cartoon is a list of shapes. Tiles are spread over each shape and moved to the middle of what is theirs (Lloyd's
iteration). Distance is measured so that what is equally far from a tile is a square along the nearest contour: tiles
line up in rows along the contours and never straddle one. The method is Hausner's ("Simulating decorative mosaics",
2001). Lengths are in picture heights, y points down.
"""

import numpy as np

from .common import colours, curve, filled, noise, ribbon, softened

ASPECT = 4 / 3
GROUT = colours("2e2622")[0]
GOLD = colours("e9bf55", "dca63c", "f3d886", "c98d2c", "f0cb6b", "e3b048")
CREAM = colours("f7ecd0", "f1e0b4", "fbf5e4")
AMBER = colours("b8742a", "c98d2c", "a8602a", "d98b3a")
EARTH = colours("b4552d", "c96c3a", "8f3f24", "d98b52", "a5603a")
UMBER = colours("5b3420", "754727", "472a1e", "8a5a30")
SAGE = colours("8d9a4e", "6f8440", "a9ae62")
LEAF = colours("2f6b3c", "3f8247", "23563a", "5a9a4c")
LIME = colours("8db04a", "a7c25a", "75a046")
RED = colours("b3202a", "c9362f", "94182a", "dc5a3c")
PINK = colours("ee9a83", "f4b9a0", "e57f6b")
LAPIS = colours("1b3a8c", "244ba6", "152e70", "2f62bd")
AZURE = colours("2a86b8", "3ea0c4", "1f70a6")
TURQUOISE = colours("2fa39a", "48b8a8", "1f8d8c", "6fcbb4")
EMERALD = colours("17695a", "1f7f62", "0f5450", "2c8f6a")
BRONZE = colours("a8742c", "c08f3a", "8c5a24")
NIGHT = colours("15182e", "1e2340")
WATER = colours("2a86b8", "1f70a6", "5bb4c9", "244ba6", "8fd0d2")


def mixed(palette):
    """Any of the palette's colours, by chance."""
    return lambda rng, x, y, far: palette[rng.integers(len(palette))]


def graded(palettes, along, spread=0.35):
    """From the first palette to the last as `along(x, y, far)` goes from 0 to 1."""
    def pick(rng, x, y, far):
        k = np.clip(along(x, y, far), 0, 1) * (len(palettes) - 1) + rng.normal(0, spread)
        palette = palettes[int(np.clip(round(k), 0, len(palettes) - 1))]
        return palette[rng.integers(len(palette))]
    return pick


class Cartoon:
    """The shapes, later ones over earlier ones. Each has an outline, a size of tiles, and a rule for colours."""

    def __init__(self):
        self.shapes = []

    def add(self, outline, tile, colour):
        self.shapes.append((np.asarray(outline, float), tile, colour))

    def labels(self, height):
        shape = (height, int(round(height * ASPECT)))
        labels = np.zeros(shape, np.int32)
        for k, (outline, _, _) in enumerate(self.shapes):
            labels[filled(shape, [outline * height])] = k
        return labels

    def contours(self, labels):
        """Visible points of the outlines (n x 2) and the direction of the outline there (n x 2)."""
        height, width = labels.shape
        points, tangents = [], []
        for k, (outline, _, _) in enumerate(self.shapes[1:], 1):
            ring = np.concatenate([outline, outline[:1]])
            step = np.hypot(*np.diff(ring, axis=0).T)
            at = np.concatenate([[0], np.cumsum(step)])
            t = np.arange(0, at[-1], 0.004)
            p = np.stack([np.interp(t, at, ring[:, 0]), np.interp(t, at, ring[:, 1])], axis=1)
            d = np.roll(p, -2, axis=0) - np.roll(p, 2, axis=0)
            d /= np.linalg.norm(d, axis=1, keepdims=True) + 1e-12
            side = np.stack([-d[:, 1], d[:, 0]], axis=1) * 0.004
            column = lambda q: np.clip(q[:, 0] * height, 0, width - 1).astype(int)
            row = lambda q: np.clip(q[:, 1] * height, 0, height - 1).astype(int)
            inside = lambda q: labels[row(q), column(q)] == k
            seen = (inside(p + side) ^ inside(p - side)) & np.all((p > 0) & (p < [ASPECT, 1]), axis=1)
            points.append(p[seen])
            tangents.append(d[seen])
        return np.concatenate(points), np.concatenate(tangents)


def field(points, tangents, height):
    """At a coarse lattice: distance to the nearest contour, and its direction as cosine and sine."""
    width = int(round(height * ASPECT))
    y, x = (np.mgrid[0:height, 0:width] + 0.5) / height
    where = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    points = points.astype(np.float32)
    nearest, distance = np.zeros(len(where), int), np.zeros(len(where))
    for part in np.array_split(np.arange(len(where)), 200):
        square = ((where[part, None] - points[None]) ** 2).sum(axis=2)
        nearest[part] = square.argmin(axis=1)
        distance[part] = np.sqrt(square.min(axis=1))
    return distance.reshape(height, width), tangents[nearest].reshape(height, width, 2)


class Tiles:
    def __init__(self, cartoon, labels, rng):
        self.cartoon, self.rng = cartoon, rng
        points, tangents = cartoon.contours(labels)
        self.distance, self.direction = field(points, tangents, 200)
        height = len(labels)
        self.at, self.label = [], []
        for k, (_, tile, _) in enumerate(cartoon.shapes):
            ys, xs = np.nonzero(labels == k)
            if len(ys) == 0:
                continue
            count = max(1, round(len(ys) / height**2 / (tile * 0.99) ** 2))
            # Evenly along a path that goes to and fro over the shape, so that no part of it is left bare.
            row, column = (np.array([ys, xs]) / (tile * height)).astype(int)
            order = np.lexsort((rng.random(len(ys)), np.where(row % 2, -column, column), row))
            pick = order[((np.arange(count) + rng.random(count)) * len(ys) / count).astype(int)]
            self.at.append(np.stack([xs[pick] + 0.5, ys[pick] + 0.5], axis=1) / height)
            self.label.append(np.full(len(pick), k))
        self.at, self.label = np.concatenate(self.at), np.concatenate(self.label)
        self.size = np.array([cartoon.shapes[k][1] for k in self.label])

    def look(self, grid):
        """What a lattice says where the tiles are."""
        h, w = grid.shape[:2]
        x = np.clip(self.at[:, 0] * w, 0, w - 1).astype(int)
        y = np.clip(self.at[:, 1] * h, 0, h - 1).astype(int)
        return grid[y, x]

    def owners(self, labels, reach=1.7):
        """Which tile each pixel belongs to (-1: none), and how far it is, in half sides of the tile."""
        height, width = labels.shape
        best = np.full(labels.shape, np.float32(2.2))
        owner = np.full(labels.shape, -1, np.int32)
        along = self.look(self.direction)
        tiles = zip(self.at * height, along, self.size * height, self.label)
        for n, ((cx, cy), (c, s), size, k) in enumerate(tiles):
            r = reach * size
            x0, x1 = max(int(cx - r), 0), min(int(cx + r) + 1, width)
            y0, y1 = max(int(cy - r), 0), min(int(cy + r) + 1, height)
            dx = np.arange(x0, x1, dtype=np.float32)[None] + np.float32(0.5 - cx)
            dy = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5 - cy)
            d = np.maximum(np.abs(c * dx + s * dy), np.abs(c * dy - s * dx))
            d = d.astype(np.float32) * np.float32(2 / size)
            window = best[y0:y1, x0:x1]
            mine = (d < window) & (labels[y0:y1, x0:x1] == k)
            window[mine] = d[mine]
            owner[y0:y1, x0:x1][mine] = n
        return owner, best

    def settle(self, labels, rounds):
        height, width = labels.shape
        y, x = (np.mgrid[0:height, 0:width] + 0.5) / height
        for _ in range(rounds):
            owner, _ = self.owners(labels)
            held = owner.ravel() + 1
            count = np.bincount(held, minlength=len(self.at) + 1)[1:]
            mx = np.bincount(held, x.ravel(), len(self.at) + 1)[1:]
            my = np.bincount(held, y.ravel(), len(self.at) + 1)[1:]
            some = count > 0
            self.at[some] = np.stack([mx[some], my[some]], axis=1) / count[some, None]

    def laid(self, height):
        """The finished mosaic: each tile has its own colour and tilt, and stands a little out of the grout."""
        rng = self.rng
        labels = self.cartoon.labels(height)
        owner, far = self.owners(labels)
        gap = max(1, round(0.0015 * height))
        stone = (owner >= 0) & (far < 1.5)
        around = np.pad(owner, gap, mode="edge")
        for dy, dx in [(0, 1), (1, 0), (2, 1), (1, 2)]:
            stone &= around[dy * gap:dy * gap + height, dx * gap:dx * gap + owner.shape[1]] == owner
        far_off = self.look(self.distance)
        picks = [self.cartoon.shapes[k][2] for k in self.label]
        colour = np.array([pick(rng, x, y, far) for pick, (x, y), far in zip(picks, self.at, far_off)])
        value = rng.normal(0, 0.045, len(colour))[:, None] + rng.normal(0, 0.014, colour.shape)
        colour = np.clip(colour * (1 + value) + 0.5 * value, 0, 1)
        tilt = rng.normal(0, 0.16, (len(colour), 2)) / (self.size * height)[:, None]
        y, x = np.mgrid[0:height, 0:owner.shape[1]].astype(np.float32)
        cx, cy = (self.at * height).T
        ramp = tilt[owner, 0] * (x - cx[owner]) + tilt[owner, 1] * (y - cy[owner])
        glass = 0.022 * noise(rng, owner.shape, height / 260) + 0.012 * noise(rng, owner.shape, height / 90)
        relief = softened(stone, 0.0016 * height)
        gy, gx = np.gradient(relief)
        light = (gx + gy) * 0.0016 * height
        face = colour[owner] * (1 + ramp + glass + 0.30 * light)[..., None]
        face += (0.10 * np.clip(light, 0, 1))[..., None]
        sand = GROUT * (1 + 0.10 * noise(rng, owner.shape, height / 300))[..., None]
        shown = softened(stone, 0.0004 * height)[..., None]
        return np.clip(face * shown + sand * (1 - shown), 0, 1)


def disc(cx, cy, rx, ry=None, turn=0.0):
    a = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = rx * np.cos(a), (ry or rx) * np.sin(a)
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([cx + x * c - y * s, cy + x * s + y * c], axis=1)


def leaf(cartoon, x, y, turn, length):
    """An almond of two halves, one in the light."""
    c, s = np.cos(turn), np.sin(turn)
    put = lambda points: np.array(
        [(x + (u * c - v * s) * length, y + (u * s + v * c) * length) for u, v in points]
    )
    bow = [(0, 0), (0.25, 0.17), (0.55, 0.20), (0.85, 0.09), (1, 0)]
    lower, upper = curve(put(bow)), curve(put([(u, -v) for u, v in bow]))
    cartoon.add(lower, 0.0182, mixed(LEAF))
    cartoon.add(upper, 0.0182, mixed(LIME))


def pomegranate(cartoon, x, y, r):
    crown = [
        (-0.45, -0.75), (-0.55, -1.5), (-0.2, -1.2), (0.0, -1.6), (0.2, -1.2), (0.55, -1.5), (0.45, -0.75),
    ]
    cartoon.add(np.array(crown) * r + [x, y], 0.0155, mixed(GOLD[3:]))
    shade = lambda px, py, far: np.clip(0.5 + ((px - x) + (py - y)) / (2.2 * r), 0, 1)
    cartoon.add(disc(x, y, r), 0.0188, graded([PINK, RED[3:], RED, RED[2:3]], shade))
    cartoon.add(
        curve([(x - 0.1 * r, y - 0.62 * r), (x + 0.34 * r, y), (x, y + 0.66 * r), (x - 0.34 * r, y)], True),
        0.0155, mixed(CREAM),
    )
    cartoon.add(
        curve([(x - 0.05 * r, y - 0.36 * r), (x + 0.17 * r, y), (x, y + 0.40 * r), (x - 0.17 * r, y)], True),
        0.0140, mixed(RED[:2]),
    )


def tree(cartoon):
    bark = graded([UMBER, BRONZE, UMBER], lambda x, y, far: 0.5 + 0.5 * np.sin(40 * x + 9 * y), 0.5)
    trunk = [(0.115, 0.93), (0.135, 0.75), (0.095, 0.56), (0.135, 0.38), (0.10, 0.20), (0.14, -0.03)]
    cartoon.add(ribbon(trunk, 0.085, (1.25, 0.45)), 0.0205, bark)
    boughs = [
        ([(0.12, 0.40), (0.22, 0.30), (0.34, 0.22), (0.36, 0.06)], 0.036),
        ([(0.11, 0.17), (0.32, 0.075), (0.58, 0.10), (0.80, 0.06), (1.03, 0.10), (1.28, 0.07)], 0.040),
        ([(0.10, 0.56), (0.20, 0.52), (0.27, 0.55)], 0.034),
        ([(0.10, 0.30), (0.03, 0.25), (-0.02, 0.24)], 0.030),
    ]
    for points, width in boughs:
        cartoon.add(ribbon(points, width, (1.0, 0.5)), 0.0180, bark)
    leaves = [
        (0.22, 0.30, 0.5, 0.15), (0.30, 0.25, -2.5, 0.13), (0.17, 0.52, -0.9, 0.13), (0.25, 0.54, 0.2, 0.14),
        (0.21, 0.53, 1.7, 0.13), (0.35, 0.10, 0.6, 0.14), (0.27, 0.09, -2.0, 0.13), (0.25, 0.10, 2.0, 0.12),
        (0.45, 0.085, -0.75, 0.13), (0.60, 0.10, 0.55, 0.15), (0.66, 0.085, -0.7, 0.12), (0.80, 0.06, 0.85, 0.14),
        (0.97, 0.085, -0.5, 0.13), (1.02, 0.10, 0.95, 0.13), (0.90, 0.07, 1.35, 0.12), (1.14, 0.07, -0.4, 0.13),
        (1.24, 0.085, 0.9, 0.14), (1.22, 0.07, -0.6, 0.12), (0.11, 0.62, 2.4, 0.13), (0.10, 0.48, 2.7, 0.13),
        (0.05, 0.26, 1.9, 0.12), (0.07, 0.27, -2.3, 0.12), (0.11, 0.08, -2.7, 0.13), (0.15, 0.02, 0.1, 0.12),
    ]
    for x, y, turn, length in leaves:
        leaf(cartoon, x, y, turn, length)
    for x, y, r in [
        (0.30, 0.375, 0.062), (0.70, 0.185, 0.055), (0.04, 0.405, 0.055), (1.255, 0.255, 0.058),
        (0.215, 0.19, 0.050),
    ]:
        pomegranate(cartoon, x, y, r)


def eye(cartoon, x, y, turn, r):
    for k, palette in [(1.0, BRONZE), (0.74, LIME), (0.54, TURQUOISE), (0.32, LAPIS)]:
        shift = 0.25 * r * (1 - k)
        cartoon.add(
            disc(x + shift * np.cos(turn), y + shift * np.sin(turn), 1.2 * k * r, k * r, turn),
            0.0150 if k < 1 else 0.0160, mixed(palette),
        )


def train(cartoon):
    """The feathers of the tail, spread to the right, with two rows of eyes."""
    foot = np.array([0.665, 0.525])

    def way(turn, reach):
        tip = foot + reach * np.array([np.cos(turn), np.sin(turn)])
        return [foot, foot + 0.5 * (tip - foot) + [0.02, -0.045], tip]

    turns = np.linspace(-0.92, 0.60, 13)
    reaches = (0.50 + 0.14 * np.linspace(0, 1, 13)) * np.where(np.arange(13) % 2, 0.80, 1.0)
    tips = [way(turn, reach + 0.045)[2] for turn, reach in zip(turns[::2], reaches[::2])]
    upper, lower = way(turns[0], 0.3)[1] - [0.03, 0.02], way(turns[-1], 0.6)[1] + [0, 0.06]
    edge = [foot - [0.03, 0.05], upper, *tips, lower, foot + [-0.03, 0.06]]
    cartoon.add(curve(edge, closed=True), 0.0200, mixed(EMERALD))
    for n, (turn, reach) in enumerate(zip(turns, reaches)):
        cartoon.add(
            ribbon(way(turn, reach), 0.052, (0.35, 1.2)), 0.0165, mixed([TURQUOISE, EMERALD, LIME][n % 3]),
        )
        cartoon.add(ribbon(way(turn, reach), 0.017, (0.8, 0.9)), 0.0150, mixed(GOLD))
    for turn, reach in zip(turns[1:-1:2], reaches[1:-1:2]):
        eye(cartoon, *way(turn, 0.68 * reach)[2], turn, 0.034)
    for odd in (1, 0):
        for turn, reach in zip(turns[odd::2], reaches[odd::2]):
            eye(cartoon, *way(turn, reach)[2], turn, 0.044)


def peacock(cartoon):
    train(cartoon)
    for x in (0.535, 0.60):
        cartoon.add(
            ribbon([(x, 0.66), (x - 0.012, 0.76), (x + 0.004, 0.86)], 0.024, (1.3, 0.9)), 0.0155,
            mixed(BRONZE),
        )
        cartoon.add(ribbon([(x + 0.02, 0.852), (x - 0.055, 0.872)], 0.020, (1, 0.6)), 0.0155, mixed(BRONZE))
    body = [
        (0.425, 0.215), (0.475, 0.195), (0.51, 0.235), (0.505, 0.32), (0.545, 0.40), (0.645, 0.455), (0.725, 0.515),
        (0.70, 0.59), (0.625, 0.66), (0.53, 0.685), (0.445, 0.63), (0.41, 0.53), (0.425, 0.43), (0.437, 0.33),
        (0.418, 0.27),
    ]
    blues = [LAPIS, LAPIS, AZURE, TURQUOISE, AZURE, LAPIS, NIGHT]
    cartoon.add(curve(body, True), 0.0182, graded(blues, lambda x, y, far: (y - 0.19) / 0.5, 0.4))
    wing = [(0.53, 0.50), (0.60, 0.475), (0.69, 0.515), (0.77, 0.585), (0.66, 0.605), (0.575, 0.59)]
    browns = graded([CREAM, GOLD, EARTH], lambda x, y, far: (x - 0.52) / 0.24, 0.4)
    cartoon.add(curve(wing, True), 0.0165, browns)
    for n in range(3):
        x, y = 0.575 + 0.045 * n, 0.515 + 0.017 * n
        cartoon.add(
            curve([(x, y), (x + 0.03, y + 0.012), (x + 0.045, y + 0.05), (x + 0.005, y + 0.03)], True),
            0.0145, mixed(EARTH if n % 2 == 0 else UMBER),
        )
    cartoon.add(
        curve([(0.434, 0.222), (0.400, 0.234), (0.374, 0.262), (0.405, 0.262), (0.430, 0.262)], False),
        0.0150, mixed(GOLD[3:]),
    )
    cartoon.add(
        curve([(0.425, 0.232), (0.455, 0.212), (0.488, 0.232), (0.455, 0.262)], True), 0.0140, mixed(CREAM),
    )
    cartoon.add(disc(0.452, 0.236, 0.0095), 0.0150, mixed(NIGHT))
    for n, turn in enumerate(np.linspace(-2.05, -0.95, 5)):
        root = np.array([0.468, 0.20])
        tip = root + 0.088 * np.array([np.cos(turn), np.sin(turn)])
        cartoon.add(ribbon([root, (root + tip) / 2, tip], 0.0095, (1, 1)), 0.0125, mixed(EMERALD))
        cartoon.add(disc(*tip, 0.0135), 0.0150, mixed(AZURE if n % 2 else LAPIS))


def tendril(cartoon, x, y, size, turn, sense):
    """A curl that ends in a blossom."""
    a = np.linspace(0, 4.6, 9)
    r = size * (1 - a / 6.2)
    line = np.stack([x + r * np.cos(turn + sense * a), y + r * np.sin(turn + sense * a)], axis=1)
    cartoon.add(ribbon(line, 0.019, (1, 0.9)), 0.0170, mixed(SAGE))
    for k in range(5):
        b = turn + 1.257 * k
        cx, cy = line[-1] + 0.021 * np.array([np.cos(b), np.sin(b)])
        cartoon.add(disc(cx, cy, 0.017, 0.012, b), 0.0160, mixed(PINK))
    cartoon.add(disc(*line[-1], 0.010), 0.0160, mixed(RED))


def ground(cartoon):
    everything = np.array([(-0.1, -0.1), (ASPECT + 0.1, -0.1), (ASPECT + 0.1, 1.1), (-0.1, 1.1)])
    # Rings of cream, gold and amber around all that stands before the ground.
    rings = [CREAM, GOLD, GOLD, CREAM, GOLD, AMBER, GOLD, CREAM, GOLD, AMBER]
    cartoon.add(everything, 0.0238, graded(rings, lambda x, y, far: far / 0.21, 0.30))
    level = lambda base, height, k, phase: [
        (x, base + height * np.sin(k * x + phase)) for x in np.linspace(-0.1, ASPECT + 0.1, 24)
    ]
    close = lambda top: np.array([*top, (ASPECT + 0.1, 1.1), (-0.1, 1.1)])
    bands = [(0.800, 0.016, 5.0, 0.4, SAGE), (0.838, 0.016, 5.6, 0.9, EARTH), (0.893, 0.014, 6.4, 2.2, CREAM),
             (0.916, 0.014, 6.4, 2.2, WATER), (0.975, 0.012, 7.0, 0.3, TURQUOISE)]
    for base, height, k, phase, palette in bands:
        cartoon.add(close(level(base, height, k, phase)), 0.0205, mixed(palette))


def paint(seed, height):
    cartoon = Cartoon()
    ground(cartoon)
    tree(cartoon)
    for curl in [
        (0.255, 0.71, 0.082, 1.6, 1), (0.80, 0.355, 0.060, 2.9, 1), (0.79, 0.735, 0.058, 2.0, -1),
        (1.26, 0.46, 0.062, 0.4, -1), (0.92, 0.20, 0.06, 2.4, 1),
    ]:
        tendril(cartoon, *curl)
    peacock(cartoon)
    tiles = Tiles(cartoon, cartoon.labels(750), np.random.default_rng(seed))
    tiles.settle(cartoon.labels(500), 24)
    return tiles.laid(height)
