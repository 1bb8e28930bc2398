#!/usr/bin/env python3
"""Paints the bundled paintings.

    tools/make_painting.py [oil | woodcut | mosaic] [--seed N] [--width N] [--out FILE]

oil       an evening landscape in thick brush strokes    assets/painting.jpg    seed 7
woodcut   boats under a low sun, past a pine on a rock   assets/woodcut.jpg     seed 3
mosaic    a peacock under a pomegranate tree             assets/mosaic.jpg      seed 5

Needs Python 3.9, numpy and pillow. The same seed gives the same picture, with the same versions of both to the bit.
Each painting is a page of tools/paintings/.
"""

import argparse
from pathlib import Path

from paintings import mosaic, oil, woodcut
from paintings.common import reduced

# Module, file, width, seed, and how the JPEG is coded: whole colour where strokes are small beside the file's size.
PAINTINGS = {
    "oil": (oil, "painting.jpg", 640, 7, {"quality": 88, "subsampling": 0}),
    "woodcut": (woodcut, "woodcut.jpg", 1000, 3, {"quality": 85, "subsampling": 2, "progressive": True}),
    "mosaic": (mosaic, "mosaic.jpg", 1000, 5, {"quality": 85, "subsampling": 2, "progressive": True}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("painting", nargs="?", default="oil", choices=PAINTINGS)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    module, file, width, seed, coding = PAINTINGS[args.painting]
    width = args.width or width
    height = round(width / module.ASPECT)
    # Painted at twice the size, then reduced, which smooths the edges of what is drawn.
    picture = module.paint(seed if args.seed is None else args.seed, 2 * height)
    out = args.out or Path(__file__).resolve().parent.parent / "assets" / file
    reduced(picture, width, height).save(out, optimize=True, **coding)


if __name__ == "__main__":
    main()
