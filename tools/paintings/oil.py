"""An evening landscape of thick brush strokes along a swirling field.

Every stroke is a ribbon along a stream line of the field, with its own bristles; it leaves colour and relief, and at
the end one lamp from the upper left lights the relief. Lengths are in picture heights, y points down.
"""

import numpy as np

from .common import colours

ASPECT = 1.3
# Vortices of the sky: x, y, radius, strength (sign: sense of rotation), pull towards the middle.
EDDIES = [(0.66, 0.20, 0.105, -2.6, 0.30), (0.93, 0.34, 0.080, 2.5, 0.30), (0.06, 0.43, 0.060, 2.3, 0.2)]
# Lights: x, y, radius of the disc, radius of the halo.
MOON = (0.29, 0.23, 0.062, 0.185)
STARS = [(0.50, 0.395, 0.014, 0.055), (0.82, 0.075, 0.014, 0.055), (0.05, 0.07, 0.016, 0.060),
         (0.985, 0.16, 0.012, 0.046), (0.70, 0.43, 0.011, 0.044), (1.24, 0.24, 0.015, 0.060)]
LIGHTS = [MOON, *STARS]
# Ridges of the hills: middle, height, offset into the random phases.
FAR_RIDGE = (0.575, 0.034, 0)
NEAR_RIDGE = (0.655, 0.022, 3)
# Cypresses: x of the foot, y of the top, half width, sway.
TREE_SHAPES = [(1.135, 0.17, 0.066, 0.02), (1.225, 0.40, 0.044, -0.015), (1.045, 0.47, 0.040, 0.012)]
SKY, FAR_HILLS, NEAR_HILLS, LAKE, FIELD, TREES = range(6)

SKY_COLOURS = colours("0b1a4a", "14328a", "1d56b3", "0f2a6e", "3f8cc9", "1a3f9c", "8cc4d6", "2465bd",
              "102058", "5fb0c4", "1b4aa8", "cfe3cf", "173078")
GLOW_COLOURS = colours("f2b441", "ef8f2a", "d9662a", "f7d774")
HALO_COLOURS = colours("fff6c2", "ffe27a", "fbb93a", "ef8c23", "c9b04a", "6fae9a", "3c86b8")
FAR_COLOURS = colours("1b2f6b", "274b8c", "2f6a8f", "4a4f94", "18224f", "5a86a8")
NEAR_COLOURS = colours("12402f", "1e5a3c", "3a7a3c", "0c2a33", "6f9a3a", "1d4f5c", "24365e")
WHEAT_COLOURS = colours("e0a526", "f3c843", "c97a1b", "f7e08a", "b5561a", "d98e1f", "8a3d16", "7d8a2b")
CYPRESS_COLOURS = colours("07161a", "0d2b22", "17432b", "0a1a20", "3f6f33", "4a2f1c", "1f4a52")
LAKE_COLOURS = colours("123a7a", "1f63a8", "4fa3c4", "0d2456", "2f86b8", "7cc4cf", "16407f")
POPPY_COLOURS = colours("d8321c", "ee5a26", "b81f1a")


class Landscape:
    """What is where: the region, colour and direction of the paint at any point."""

    def __init__(self, rng):
        self.rng = rng
        self.phases = rng.uniform(0, 2 * np.pi, 12)

    def ridge(self, x, base, height, k):
        p = self.phases[k:k + 3]
        return base - height * (np.sin(4.2 * x + p[0]) + 0.5 * np.sin(9.1 * x + p[1]) + 0.25 * np.sin(19 * x + p[2]))

    def shore(self, x):
        return 0.705 + 0.006 * np.sin(7 * x)

    def field_edge(self, x):
        return 0.80 + 0.035 * np.sin(3.0 * x + 2.6) + 0.004 * np.sin(31 * x)

    def cypress(self, x, y):
        """Below 1 inside one of the trees."""
        inside = np.full(np.broadcast(x, y).shape, 9.0)
        for foot, top, width, lean in TREE_SHAPES:
            t = (y - top) / (1.04 - top)
            flame = width * np.sqrt(np.clip(t, 0, 1)) * (1.15 - 0.45 * t) * (1 + 0.13 * np.sin(26 * y + 40 * foot))
            middle = foot + lean * np.sin(7 * y) * (1 - t)
            inside = np.minimum(inside, np.where((t > 0) & (t < 1), np.abs(x - middle) / np.maximum(flame, 1e-4), 9))
        return inside

    def region(self, x, y):
        r = np.where(y > self.ridge(x, *FAR_RIDGE), FAR_HILLS, SKY)
        r = np.where(y > self.ridge(x, *NEAR_RIDGE), NEAR_HILLS, r)
        r = np.where(y > self.shore(x), LAKE, r)
        r = np.where(y > self.field_edge(x), FIELD, r)
        return np.where(self.cypress(x, y) < 1, TREES, r)

    def sky_stream(self, x, y):
        psi = y + 0.035 * np.sin(5.5 * x + 1.5 + 3 * y) + 0.015 * np.sin(11 * x - 4 * y)
        for cx, cy, radius, strength, _ in EDDIES:
            psi = psi + strength * radius * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2))
        return psi

    def direction(self, x, y, region):
        """Unit vector of the flow in a region."""
        e = 1e-4
        if region == SKY:
            u = (self.sky_stream(x, y + e) - self.sky_stream(x, y - e)) / (2 * e)
            v = -(self.sky_stream(x + e, y) - self.sky_stream(x - e, y)) / (2 * e)
            for cx, cy, radius, _, pull in EDDIES:
                near = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * (1.2 * radius) ** 2))
                r = np.hypot(x - cx, y - cy) + 1e-6
                u, v = u - 3 * pull * near * (x - cx) / r, v - 3 * pull * near * (y - cy) / r
            for cx, cy, _, halo in LIGHTS:
                near = 6 * np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / halo**2) ** 2)
                r = np.hypot(x - cx, y - cy) + 1e-6
                u, v = u + near * (y - cy) / r, v - near * (x - cx) / r
        elif region in (FAR_HILLS, NEAR_HILLS):
            ridge = FAR_RIDGE if region == FAR_HILLS else NEAR_RIDGE
            slope = (self.ridge(x + e, *ridge) - self.ridge(x - e, *ridge)) / (2 * e)
            u, v = np.ones_like(x), slope * 1.2 + 0.35 * np.sin(14 * x + 30 * y)
        elif region == LAKE:
            u, v = np.ones_like(x), 0.16 * np.sin(17 * x + 60 * y)
        elif region == FIELD:
            u, v = 1.1 * np.sin(4.5 * x + 6 * y) - 0.2, -np.ones_like(x)
        else:
            u, v = 0.55 * np.sin(22 * y + 9 * x), -np.ones_like(x)
        n = np.hypot(u, v) + 1e-9
        return u / n, v / n

    def colour(self, x, y, region):
        """One colour for a stroke that starts at (x, y)."""
        rng = self.rng
        if region == SKY:
            for cx, cy, disc, halo in LIGHTS:
                r = np.hypot(x - cx, y - cy)
                if r < halo * 1.15:
                    t = 0 if r < disc else 1 + (r - disc) / (halo - disc) * (len(HALO_COLOURS) - 1.6)
                    t = t + rng.normal(0, 0.45)
                    if t < len(HALO_COLOURS) - 0.5:
                        return HALO_COLOURS[int(np.clip(round(t), 0, len(HALO_COLOURS) - 1))]
            glow = np.exp(-((y - self.ridge(x, *FAR_RIDGE)) / 0.055) ** 2) * np.exp(-((x - 0.20) / 0.45) ** 2)
            if rng.random() < 0.9 * glow:
                return rng.choice(GLOW_COLOURS)
            band = self.sky_stream(x, y) * 26 + rng.normal(0, 0.8)
            return SKY_COLOURS[int(np.floor(band)) % len(SKY_COLOURS)]
        if region == FIELD:
            if rng.random() < 0.05 * (y > 0.86):
                return rng.choice(POPPY_COLOURS)
            band = 5 * np.sin(3 * x + 9 * y) + 16 * y + rng.normal(0, 1.2)
            return WHEAT_COLOURS[int(np.floor(band)) % len(WHEAT_COLOURS)]
        if region == LAKE and rng.random() < 0.8 * np.exp(-(((x - MOON[0]) / 0.09) ** 2)):
            return HALO_COLOURS[rng.integers(5)]
        palette = {
            FAR_HILLS: FAR_COLOURS, NEAR_HILLS: NEAR_COLOURS, LAKE: LAKE_COLOURS, TREES: CYPRESS_COLOURS,
        }[region]
        band = 30 * y + 3 * np.sin(8 * x) + rng.normal(0, 1.3)
        return palette[int(np.floor(band)) % len(palette)]


class Canvas:
    def __init__(self, height, rng):
        self.rng = rng
        self.h, self.w = height, int(round(height * ASPECT))
        self.paint = np.zeros((self.h, self.w, 3)) + [0.30, 0.22, 0.13]
        self.relief = rng.normal(0, 0.02, (self.h, self.w))

    def stroke(self, points, width, colour):
        """A ribbon of bristles along `points` (k x 2, picture heights)."""
        rng = self.rng
        step = np.hypot(*np.diff(points, axis=0).T)
        length = step.sum() * self.h
        if length < 2:
            return
        across = max(int(width * self.h * 1.7), 4)
        along = max(int(length * 1.7), 6)
        t = np.linspace(0, 1, along)
        knots = np.concatenate([[0], np.cumsum(step)]) / step.sum()
        x, y = np.interp(t, knots, points[:, 0]), np.interp(t, knots, points[:, 1])
        dx, dy = np.gradient(x), np.gradient(y)
        n = np.hypot(dx, dy) + 1e-12
        u = np.linspace(-1, 1, across)
        # Bristles: each has its own load of paint, its own tint and its own end.
        bristle = smooth(rng.normal(0, 1, across), 2.2)
        tint = smooth(rng.normal(0, 1, across), 2.5)
        start = 0.03 * rng.random(across) + 0.05 * u**2
        end = 1 - 0.13 * rng.random(across) ** 2 - 0.10 * u**2 - 0.05 * np.clip(-bristle, 0, 2)
        on = (t[:, None] >= start) & (t[:, None] <= end)
        profile = 1 - 0.55 * u**2 + 0.5 * np.exp(-((np.abs(u) - 0.86) / 0.13) ** 2)
        half = 0.5 * width * (0.8 + 0.2 * np.sin(np.pi * np.clip(t * 1.1, 0, 1)))
        px = np.rint((x[:, None] - (dy / n * half)[:, None] * u) * self.h).astype(int)
        py = np.rint((y[:, None] + (dx / n * half)[:, None] * u) * self.h).astype(int)
        on &= (px >= 0) & (px < self.w) & (py >= 0) & (py < self.h)
        if not on.any():
            return
        # A brush starts loaded and ends dry, with a ridge where it is lifted.
        load = 1.0 - 0.45 * t + 0.5 * np.exp(-((t - 0.95) / 0.035) ** 2)
        height = load[:, None] * (profile + 0.34 * bristle)
        value = 0.075 * tint + 0.05 * bristle
        px, py, height = px[on], py[on], height[on]
        value = np.broadcast_to(value, on.shape)[on][:, None]
        wet = self.paint[py, px].mean(axis=0)
        fade = np.broadcast_to((0.05 + 0.22 * t)[:, None], on.shape)[on][:, None]
        self.paint[py, px] = colour * (1 - fade) + wet * fade + value
        thickness = 0.55 + 9 * width
        self.relief[py, px] = 0.35 * self.relief[py, px] + thickness * height

    def lit(self):
        """The picture under one lamp from the upper left."""
        relief = blur(self.relief, 1.0)
        gy, gx = np.gradient(relief)
        k = 1.15
        normal = np.stack([-k * gx, -k * gy, np.ones_like(gx)], axis=-1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        lamp = np.array([-0.55, -0.62, 0.72])
        lamp /= np.linalg.norm(lamp)
        diffuse = np.clip(normal @ lamp, 0, None) / lamp[2]
        middle = lamp + [0, 0, 1]
        shine = np.clip(normal @ (middle / np.linalg.norm(middle)), 0, None) ** 38
        crevice = np.clip(blur(relief, 5) - relief, 0, 1)
        picture = self.paint * (0.40 + 0.60 * diffuse)[..., None] * (1 - 0.28 * crevice)[..., None]
        return np.clip(picture + (0.17 * (shine - 0.35).clip(0))[..., None], 0, 1)


def smooth(values, sigma):
    r = np.arange(-int(3 * sigma), int(3 * sigma) + 1)
    k = np.exp(-(r**2) / (2 * sigma**2))
    k /= np.sqrt((k**2).sum())
    padded = np.pad(values, len(r) // 2, mode="reflect" if len(values) > len(r) // 2 else "wrap")
    return np.convolve(padded, k, mode="valid")


def blur(a, sigma):
    r = np.arange(-int(3 * sigma), int(3 * sigma) + 1)
    k = np.exp(-(r**2) / (2 * sigma**2))
    k /= k.sum()
    for axis in (0, 1):
        line = lambda v: np.convolve(np.pad(v, len(r) // 2, mode="edge"), k, mode="valid")
        a = np.apply_along_axis(line, axis, a)
    return a


def follow(scene, starts, region, length, jitter):
    """Stream lines through `starts` (n x 2), half before and half after, as far as the region goes."""
    turn = scene.rng.normal(0, jitter, len(starts))
    c, s = np.cos(turn), np.sin(turn)
    lines = [starts]
    for sign in (-1, 1):
        p, alive, half = starts, np.full(len(starts), True), []
        for _ in range(12):
            u, v = scene.direction(p[:, 0], p[:, 1], region)
            step = np.stack([u * c - v * s, u * s + v * c], axis=1) * (sign * length / 24)[:, None]
            alive = alive & (scene.region(*(p + step).T) == region)
            p = np.where(alive[:, None], p + step, p)
            half.append(p)
        lines = half[::-1] + lines if sign < 0 else lines + half
    return np.stack(lines, axis=1)


def paint(seed, height):
    rng = np.random.default_rng(seed)
    scene, canvas = Landscape(rng), Canvas(height, rng)
    # Layers per region, from large to small: width, length, spacing (all in picture heights).
    broad = [(0.060, 0.30, 0.038), (0.036, 0.22, 0.021), (0.022, 0.17, 0.0135), (0.015, 0.12, 0.0125)]
    slim = [(0.030, 0.20, 0.017), (0.020, 0.14, 0.0115), (0.0135, 0.10, 0.0105)]
    upright = [(0.038, 0.16, 0.020), (0.023, 0.12, 0.0130), (0.015, 0.085, 0.0115)]
    for region, layers in zip(range(6), [broad, slim, slim, slim, upright, slim]):
        for width, length, spacing in layers:
            gx, gy = np.meshgrid(np.arange(-0.02, ASPECT + 0.02, spacing), np.arange(-0.02, 1.02, spacing))
            starts = np.stack([gx.ravel(), gy.ravel()], axis=1)
            starts += rng.uniform(-0.5, 0.5, starts.shape) * spacing
            starts = rng.permutation(starts[scene.region(*starts.T) == region])
            near = np.min([np.hypot(*(starts - light[:2]).T) / light[3] for light in LIGHTS], axis=0)
            if region == SKY and width > 0.04:
                starts, near = starts[near > 0.8], near[near > 0.8]
            reach = length * rng.uniform(0.7, 1.25, len(starts)) * np.where(near < 1.1, 0.45, 1)
            for line in follow(scene, starts, region, reach, 0.10):
                x, y = line[len(line) // 2]
                colour = scene.colour(x, y, region) + rng.normal(0, 0.022, 3) + rng.normal(0, 0.03)
                canvas.stroke(line, width * rng.uniform(0.8, 1.2), colour)
    return canvas.lit()
