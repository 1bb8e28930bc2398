#!/usr/bin/env python3
"""Draws the bundled pictures of regions, in which equal colours belong together.

    tools/make_regions.py [--out assets]

blue      behind the cat     sky, hills, lake and cypresses of painting.jpg
yellow    the cat            the field of wheat
white     its eyes           the moon and the stars, with their halos

Needs Python 3.9, numpy and pillow. The cat is a polygon by hand; the painting's regions are those it was painted by.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from paintings import oil
from paintings.common import curve, filled

BEHIND, SUBJECT, LIGHTS = range(3)
COLOURS = [(32, 64, 192), (240, 192, 32), (255, 255, 255)]
# In pixels of photo.jpg, 451 x 300.
CAT = [
    (40, -1), (33, 35), (31, 80), (31, 105), (16, 119), (-1, 127), (-1, 301), (300, 301), (310, 270), (316, 245),
    (318, 218), (335, 200), (352, 172), (362, 145), (365, 115), (357, 100), (356, 72), (372, 50), (380, 25), (398, -1),
]
EYES = [
    [(134, 108), (142, 93), (160, 85), (180, 86), (196, 97), (205, 116), (214, 150), (196, 146), (170, 147), (146, 134)],
    [(295, 140), (300, 122), (315, 111), (332, 110), (342, 121), (341, 143), (328, 160), (310, 164), (297, 157)],
]


def of_photo():
    shape = (300, 451)
    regions = np.where(filled(shape, [CAT]), SUBJECT, BEHIND)
    return np.where(filled(shape, [curve(eye, closed=True) for eye in EYES]), LIGHTS, regions)


def of_painting(seed=7, width=640):
    height = round(width / oil.ASPECT)
    scene = oil.Landscape(np.random.default_rng(seed))
    y, x = (np.mgrid[0:height, 0:width] + 0.5) / height
    region = scene.region(x, y)
    light = np.any([np.hypot(x - cx, y - cy) < halo for cx, cy, _, halo in oil.LIGHTS], axis=0)
    regions = np.where(region == oil.FIELD, SUBJECT, BEHIND)
    return np.where(light & (region == oil.SKY), LIGHTS, regions)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "assets")
    args = parser.parse_args()
    for name, regions in [("photo-regions.png", of_photo()), ("painting-regions.png", of_painting())]:
        picture = Image.fromarray(np.array(COLOURS, np.uint8)[regions])
        picture.save(args.out / name, optimize=True)


if __name__ == "__main__":
    main()
