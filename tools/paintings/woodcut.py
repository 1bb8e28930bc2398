"""A colour woodcut: boats, a low sun and mountains, seen past a pine on a rock.

Flat colours are printed first, then the black block. The block is black until it is cut. Every area is cut along its
form by gouge marks, each a wedge that starts round and runs out thin: the darker the area, the narrower they are.
Lengths are in picture heights, y points down.
"""

import numpy as np

from .common import colours, curve, filled, noise, ribbon, softened

ASPECT = 4 / 3
SUN = (0.86, 0.335, 0.125)
HORIZON = 0.60
INK = colours("14120f")[0]
PAPER = colours("f6ead0")[0]
SUN_RED, FLAME, ORANGE, YELLOW, PALE = colours("dd3c1e", "ec6b25", "f39a33", "f7c657", "f9e3a4")
SKY = colours("f9e3a4", "f7c657", "f39a33", "e8825a", "7fb5a8", "3f8f9c", "1f5f85")
SNOW, ROSE, VIOLET, INDIGO = colours("f8ecd6", "e9a183", "54618f", "27406f")
GREEN, OLIVE, MOSS = colours("2f7a55", "8aa13f", "1f5a4c")
SEA = colours("e7cf8e", "8fc3ae", "4aa3a3", "2b8296", "1d5f86", "184a74")
FOAM, EARTH, RUST = colours("f6ead0", "a8663a", "c4472a")


class Print:
    """The sheet: flat colours, and the black block over them."""

    def __init__(self, height, rng):
        self.rng = rng
        self.h, self.w = height, int(round(height * ASPECT))
        y, x = np.mgrid[0:self.h, 0:self.w].astype(np.float32) / height
        # No hand cuts straight: every form is drawn on a sheet that is slightly out of shape.
        self.x = x + 0.0022 * noise(rng, x.shape, height / 28) + 0.0006 * noise(rng, x.shape, height / 130)
        self.y = y + 0.0022 * noise(rng, x.shape, height / 28) + 0.0006 * noise(rng, x.shape, height / 130)
        self.colour = np.zeros((self.h, self.w, 3), np.float32) + PAPER
        self.ink = np.zeros((self.h, self.w), bool)
        self.chance = rng.random(4096).astype(np.float32)

    def inside(self, *polygons):
        """Where the polygons (in picture heights) are."""
        flat = filled((self.h, self.w), [np.asarray(p) * self.h for p in polygons])
        px = np.clip(np.rint(self.x * self.h), 0, self.w - 1).astype(int)
        py = np.clip(np.rint(self.y * self.h), 0, self.h - 1).astype(int)
        return flat[py, px]

    def luck(self, n, k=0):
        """A random number of 0 to 1 for each pair of whole numbers."""
        return self.chance[(n.astype(int) * 127 + np.asarray(k).astype(int) * 911) % len(self.chance)]

    def area(self, mask, colour, outline=0.0):
        """Prints a flat colour, uncut, with a black edge."""
        self.colour = np.where(mask[..., None], colour, self.colour).astype(np.float32)
        self.ink &= ~mask
        if outline:
            self.edge(mask, outline)

    def edge(self, mask, width):
        sigma = width * self.h
        soft = softened(mask, sigma)
        rough = np.clip(0.30 + 0.06 * noise(self.rng, mask.shape, self.h / 40), 0.16, 0.42)
        self.ink |= np.abs(soft - 0.5) < rough

    def cut(self, mask, phase, along, tone, length):
        """Blackens the area and cuts it: one row of gouge marks per unit of `phase`, each about `length` long
        in `along`. `tone` is how much stays black, 0 to 1."""
        row = np.floor(phase)
        across = np.abs(phase - row - 0.5)
        s = along / length + 7 * self.luck(row)
        mark = np.floor(s)
        t = s - mark
        taper = np.sqrt(np.clip(6 * t, 0, 1)) * np.clip(1.9 * (1 - t), 0, 1) ** 0.7
        width = (1.06 - 0.80 * tone) * (0.80 + 0.4 * self.luck(row, mark)) * taper
        self.ink = np.where(mask, across > 0.5 * width, self.ink)

    def pulled(self):
        """The finished print: uneven ink, the grain of the plank, colours a little off their place."""
        h, w = self.h, self.w
        up, right = round(0.0016 * h), round(0.0022 * h)
        colour = np.pad(self.colour, ((0, up), (right, 0), (0, 0)), mode="edge")[up:, :w]
        grain = noise(self.rng, (h, w), (h / 220, h / 8)) + 0.5 * noise(self.rng, (h, w), (h / 500, h / 14))
        pale = np.clip(0.06 * grain + 0.03 * noise(self.rng, (h, w), h / 90), -0.09, 0.2)[..., None]
        colour = colour + pale * (PAPER - colour)
        bare = grain + 0.8 * noise(self.rng, (h, w), h / 300) > 3.9
        ink = self.ink & ~bare
        black = INK + np.clip(0.02 + 0.02 * noise(self.rng, (h, w), h / 60), 0, 0.08)[..., None]
        return np.where(ink[..., None], black, colour)


def sky(sheet):
    x, y = sheet.x, sheet.y
    r = np.hypot(x - SUN[0], y - SUN[1])
    a = np.arctan2(y - SUN[1], x - SUN[0])
    waver = r + 0.02 * np.sin(6 * a + 9 * r) + 0.012 * noise(sheet.rng, x.shape, sheet.h / 9)
    bands = np.clip(((waver - 0.145) / 0.115), 0, len(SKY) - 1).astype(int)
    everywhere = np.ones(x.shape, bool)
    sheet.area(everywhere, SKY[bands])
    # Rays: twice as many each time the distance doubles, so that their breadth stays.
    out = np.log2(np.maximum(r, 0.02) / 0.16)
    rays = 40 * 2.0 ** np.floor(out)
    tone = np.clip(0.20 + 0.62 * (r - 0.15), 0.12, 0.72)
    sheet.cut(everywhere, a / (2 * np.pi) * rays + 0.25 * np.sin(14 * r), out, tone, 0.5)
    disc = r < SUN[2]
    sheet.area(r < SUN[2] + 0.022, PALE, 0.0022)
    sheet.area(disc, np.where((y > SUN[1] + 0.03)[..., None], FLAME, SUN_RED), 0.0028)
    ring = disc & (y > SUN[1] - 0.01)
    sheet.cut(ring, y / 0.0195, x, np.clip(0.15 + (SUN[1] + 0.1 - y), 0.06, 0.5), 0.11)


def cloud(sheet, puffs, colour, shade):
    """A bank of round puffs (x, y, radius), cut along their rims."""
    x, y = sheet.x, sheet.y
    for px, py, radius in puffs:
        r = np.hypot((x - px) / 1.25, y - py)
        base = y < py + 0.45 * radius + 0.004 * np.sin(60 * x)
        mask = (r < radius) & base
        low = (y - py) / radius
        sheet.area(mask, np.where((r / radius > 0.62 - 0.3 * low)[..., None], colour, shade))
        rings = mask & (r < radius - 0.010) & (r > 0.45 * radius)
        around = np.arctan2(y - py, x - px) * radius
        sheet.cut(rings, r / 0.0185, around, np.clip(0.20 + 0.3 * low, 0.06, 0.5), 0.10)
        floor = mask & (r <= 0.45 * radius)
        sheet.cut(floor, y / 0.0180, x, 0.26, 0.07)
        sheet.edge(mask, 0.0026)


def mountain(sheet, peak, left, right, lit, dark, snow):
    """A peak: (x, y), how far its slopes reach at the horizon, and the colours of its two sides."""
    x, y, rng = sheet.x, sheet.y, sheet.rng
    px, py = peak
    d = y - py
    rough = 0.012 * noise(rng, x.shape, sheet.h / 16) + 0.006 * noise(rng, x.shape, sheet.h / 45)
    fall = HORIZON + 0.02 - py
    lean_l, lean_r = left / fall, right / fall
    bend = 1 - 0.28 * np.sin(np.pi * np.clip(d / fall, 0, 1))
    mask = (d > 0) & (y < HORIZON + 0.02)
    mask &= (x - rough > px - d * lean_l * bend) & (x - rough < px + d * lean_r * bend)
    ridge = px + 0.10 * d + 0.028 * np.sin(24 * d + 9 * px) * np.clip(d * 8, 0, 1)
    facing = (x > ridge) == (SUN[0] > px)
    snowline = 0.10 * fall / 0.4 + 0.05 * np.sin(34 * (x - px)) + 0.03 * np.sin(71 * (x - px))
    colour = np.where((d < snowline * snow)[..., None], SNOW, np.where(facing[..., None], lit, dark))
    colour = np.where((~facing & (d < snowline * snow))[..., None], 0.45 * SNOW + 0.55 * dark, colour)
    sheet.area(mask, colour)
    side = np.where(x > ridge, 0.45 * lean_r, -0.45 * lean_l)
    phase = (x - ridge - 0.9 * side * d) / 0.0215
    tone = np.where(facing, 0.16 + 0.35 * np.clip(d / fall, 0, 1), 0.58)
    sheet.cut(mask, phase + 0.35 * np.sin(30 * d + 8 * x), d, tone, 0.075)
    sheet.edge(mask, 0.0030)


def shore(sheet):
    x, y = sheet.x, sheet.y
    top = 0.555 + 0.05 * np.clip(x - 1, 0, 1)
    top += 0.020 * np.sin(7 * x + 0.6) + 0.010 * np.sin(19 * x) + 0.006 * np.sin(47 * x)
    mask = (y > top) & (y < HORIZON + 0.02) & ((x < 0.52 + 0.5 * (y - top)) | (x > 1.02 - (y - top)))
    sheet.area(mask, np.where((y < top + 0.022)[..., None], OLIVE, GREEN))
    sheet.cut(mask, (y - top) / 0.0145 + 0.5 * np.sin(30 * x), x, 0.34 + 6 * np.clip(y - top, 0, 0.04), 0.05)
    sheet.edge(mask, 0.0026)


def sea(sheet):
    x, y = sheet.x, sheet.y
    water = y > HORIZON
    depth = np.clip((y - HORIZON) / (1 - HORIZON), 0, 1)
    # Rows of waves, broader towards the front; crests are sharp, troughs are round.
    turn = x * (2.6 - 0.7 * depth) + 0.9 * depth + 0.12 * np.sin(9 * depth + 3 * x)
    swell = 0.052 * depth**1.4 * np.abs(np.sin(np.pi * turn))
    swell += 0.010 * (0.15 + depth) * np.abs(np.sin(np.pi * (11 - 4 * depth) * x + 14 * depth))
    level = np.log1p(2.2 * np.clip((y + swell - HORIZON) / (1 - HORIZON), 0, 2)) / np.log(3.2)
    rows = 19 * level
    band = np.floor(rows)
    glitter = np.abs(x - SUN[0] - 0.03 * np.sin(3.1 * band)) < 0.11 + 0.05 * np.sin(2.2 * band) - 0.05 * depth
    tint = (3.1 + 1.5 * np.sin(1.9 * band + 0.7 * np.sin(5 * x)) + 1.2 * depth).clip(1, 5).astype(int)
    colour = SEA[tint]
    warm = np.array([PALE, ORANGE, FLAME])[band.astype(int) % 3]
    broken = sheet.luck(band, np.floor(x * 11 + sheet.luck(band) * 5)) < 0.80 - 0.3 * depth
    show = glitter & broken & (depth < 0.8)
    colour = np.where(show[..., None], warm, colour)
    crest = (rows - band < 0.30) & (np.sin(2.6 * band + 4 * x) > -0.1) & (depth > 0.12)
    colour = np.where(crest[..., None], FOAM, colour)
    sheet.area(water, colour)
    tone = np.where(show, 0.18, 0.30 + 0.16 * np.sin(1.9 * band + 6 * x)) + 0.05 * depth
    sheet.cut(water, rows, x, np.where(crest, 0.12, tone), 0.10)
    sheet.edge(water & (y > HORIZON), 0.0016)


def boat(sheet, at, size, sail, second):
    """A boat with two sails and its reflection."""
    cx, cy = at
    form = lambda *points: sheet.inside(curve(np.asarray(points) * size + [cx, cy], closed=True))
    x, y = (sheet.x - cx) / size, (sheet.y - cy) / size
    dark = form((-0.42, 0.12), (0.02, 0.16), (0.46, 0.12), (0.30, 0.30), (0.1, 0.46), (-0.1, 0.62), (-0.22, 0.36))
    sheet.area(dark, np.where((y < 0.3)[..., None], SEA[5], sail))
    sheet.cut(dark, sheet.y / 0.0165 + 0.4 * np.sin(30 * sheet.x), sheet.x, 0.45, 0.05)
    hull = form((-0.46, -0.02), (-0.2, 0.03), (0.2, 0.03), (0.52, -0.06), (0.40, 0.12), (0.1, 0.16), (-0.36, 0.13))
    sheet.area(hull, RUST, 0.0026)
    sheet.cut(hull & (y > 0.05), y / 0.05, x, 0.6, 0.3)
    main = form((0.02, -1.02), (0.16, -0.86), (0.30, -0.52), (0.36, -0.12), (0.15, -0.08), (0.03, -0.10))
    jib = form((-0.03, -0.94), (-0.05, -0.5), (-0.05, -0.10), (-0.26, -0.10), (-0.44, -0.14), (-0.25, -0.5))
    sheet.area(main, np.where((x > 0.13 + 0.10 * (y + 1))[..., None], sail, second))
    seam = (x * 0.9 - 0.22 * (y + 0.1) ** 2 * np.sign(x)) / 0.076
    sheet.cut(main, seam, y, np.clip(0.40 - 1.2 * x, 0.08, 0.5), 0.45)
    sheet.edge(main, 0.0028)
    sheet.area(jib, np.where((x < -0.2)[..., None], second, sail))
    sheet.cut(jib, (y - 0.5 * x) / 0.078, x, 0.20, 0.30)
    sheet.edge(jib, 0.0028)
    mast = sheet.inside(ribbon([(cx, cy - 1.08 * size), (cx, cy + 0.02 * size)], 0.035 * size, (0.7, 1.2)))
    sheet.ink |= mast


def rock(sheet):
    """The rock in the left corner, in facets."""
    x, y = sheet.x, sheet.y
    outline = [
        (-0.05, 0.63), (0.05, 0.615), (0.13, 0.655), (0.20, 0.735), (0.30, 0.775), (0.36, 0.865),
        (0.47, 0.905), (0.52, 1.05), (-0.05, 1.05),
    ]
    mask = sheet.inside(np.array(outline))
    facet = np.floor(3.1 * x * 3 + 1.4 * np.sin(9 * y) + 2 * y) + 3 * np.floor(5 * y + 1.2 * np.sin(7 * x))
    kind = facet.astype(int) % 4
    palette = np.array([EARTH, VIOLET, ROSE, OLIVE])
    sheet.area(mask, palette[kind])
    turn = 0.7 + 1.1 * sheet.luck(facet)
    phase = (x * np.cos(turn) - y * np.sin(turn)) / 0.0195
    along = x * np.sin(turn) + y * np.cos(turn)
    sheet.cut(mask, phase, along, 0.30 + 0.42 * sheet.luck(facet, 5), 0.07)
    for kind in np.unique(facet[mask]):
        sheet.edge(mask & (facet == kind), 0.0020)
    sheet.edge(mask, 0.0036)


def pine(sheet):
    """The pine on the rock: trunk, boughs, and fans of needles."""
    x, y = sheet.x, sheet.y
    trunk = [(0.115, 0.70), (0.145, 0.58), (0.105, 0.46), (0.165, 0.33), (0.150, 0.20), (0.215, 0.08)]
    boughs = [
        ([(0.12, 0.50), (0.22, 0.44), (0.32, 0.455), (0.44, 0.41)], 0.030),
        ([(0.15, 0.37), (0.26, 0.30), (0.37, 0.30), (0.50, 0.235)], 0.026),
        ([(0.12, 0.44), (0.05, 0.38), (-0.03, 0.37)], 0.024),
        ([(0.16, 0.24), (0.08, 0.17), (0.0, 0.16)], 0.020),
        ([(0.17, 0.18), (0.27, 0.13), (0.36, 0.12)], 0.018),
    ]
    wood = sheet.inside(ribbon(trunk, 0.062, (1.25, 0.3)), *[ribbon(p, w) for p, w in boughs])
    sheet.area(wood, np.where((np.sin(40 * y + 20 * x) > 0)[..., None], EARTH, RUST))
    sheet.cut(wood, (x + 0.02 * np.sin(22 * y)) / 0.0150, y, 0.42, 0.055)
    sheet.edge(wood, 0.0030)
    pads = [
        (0.17, 0.065, 0.10), (0.03, 0.155, 0.09), (0.36, 0.115, 0.10), (0.25, 0.130, 0.08), (0.23, 0.290, 0.085),
        (0.50, 0.225, 0.10), (0.38, 0.280, 0.095), (0.02, 0.355, 0.10), (0.44, 0.400, 0.105), (0.30, 0.445, 0.09),
    ]
    # Each pad of needles is five fans, the nearest last: place and size as shares of the pad's.
    fans = [(-0.75, 0.10, 0.62), (0.72, 0.08, 0.66), (0.0, -0.06, 0.85), (-0.36, 0.24, 0.60), (0.40, 0.26, 0.58)]
    for cx, cy, size in pads:
        for shift, drop, part in fans:
            tuft(sheet, cx + shift * size, cy + drop * size, part * size)


def tuft(sheet, cx, cy, radius):
    """A fan of needles that opens upwards."""
    dx, dy = sheet.x - cx, sheet.y - cy - 0.55 * radius
    r, a = np.hypot(dx, dy) / radius, np.arctan2(dx, -dy)
    spikes = 1.0 + 0.10 * np.sin(13 * a + 50 * cx) * np.sin(29 * a) - 0.16 * a**2
    mask = (r < spikes) & (np.abs(a) < 1.75)
    sheet.area(mask, np.where((r > 0.70)[..., None], OLIVE, np.where((r > 0.42)[..., None], GREEN, MOSS)))
    sheet.cut(mask, 5.2 * a + 50 * cx, -r + 40 * cy, 0.30 + 0.30 * (r < 0.45), 0.9)
    sheet.edge(mask, 0.0020)


def paint(seed, height):
    sheet = Print(height, np.random.default_rng(seed))
    sky(sheet)
    cloud(sheet, [(1.20, 0.17, 0.075), (1.31, 0.155, 0.10), (1.10, 0.19, 0.05)], FOAM, ROSE)
    cloud(sheet, [(0.53, 0.36, 0.05), (0.60, 0.355, 0.07), (0.68, 0.37, 0.045)], FOAM, SKY[4])
    mountain(sheet, (0.60, 0.33), 0.46, 0.36, ROSE, INDIGO, 1.0)
    mountain(sheet, (1.16, 0.27), 0.34, 0.50, ROSE, VIOLET, 1.0)
    mountain(sheet, (0.31, 0.42), 0.40, 0.30, OLIVE, MOSS, 0.0)
    shore(sheet)
    sea(sheet)
    boat(sheet, (1.19, 0.655), 0.13, YELLOW, PALE)
    boat(sheet, (0.765, 0.815), 0.35, SUN_RED, YELLOW)
    rock(sheet)
    pine(sheet)
    return sheet.pulled()
