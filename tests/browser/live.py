#!/usr/bin/env python3
"""The page of `impasto stylize --live` in a real Chromium: a slider is moved, the run paused, taken on, and finished.

    cargo build --release && tests/browser/live.py [--screenshots FOLDER]
"""

import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

from chromium import Browser, Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/release/impasto"
PHOTO, PAINTING = ROOT / "assets/photo.jpg", ROOT / "assets/painting.jpg"
# Seconds for what takes some on two busy cores.
PATIENCE = 240


def expect(condition, what):
    if not condition:
        raise Failure(what)


def record(file):
    """What the picture says of how it was made: the international text `impasto` of a PNG, which is not compressed."""
    data, at = file.read_bytes(), 8
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        if kind == b"iTXt" and body.startswith(b"impasto\0\0\0"):
            # Behind the key and two flags come a language and a translated key, both empty.
            return json.loads(body[len(b"impasto\0\0\0") :].split(b"\0", 2)[2])
        at += 12 + length
    raise Failure(f"{file} has no record")


def badge(page, text):
    page.until(f"document.querySelector('.badge').textContent === {json.dumps(text)}", PATIENCE, f"the status {text}")


def key(page, letter):
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=letter, text=letter if kind == "keyDown" else "")


def steer(page, address, shoot):
    """What people do on the page."""
    badge(page, "Painting")
    page.until("document.querySelector('.comparison .after img')?.complete", PATIENCE, "a picture")
    page.until("document.querySelectorAll('.curves .series').length > 3", PATIENCE, "curves")
    shoot("live")
    # A slider, as the arrow keys move it.
    page.run("document.querySelector('.strength input[type=range]').focus()")
    for _ in range(10):
        page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", windowsVirtualKeyCode=39)
        page.call("Input.dispatchKeyEvent", type="keyUp", key="ArrowRight", windowsVirtualKeyCode=39)
    page.until("document.querySelectorAll('.changes li').length === 1", PATIENCE, "a change in the list")
    strength = float(page.run("document.querySelector('.strength input[type=number]').value"))
    expect(abs(strength - 0.6) < 1e-9, f"ten steps to the right make the strength {strength}")
    # A number beside a slider.
    page.run(
        "(() => { const field = document.querySelector('[aria-label=\"Smoothness, as a number\"]');"
        " field.value = '17'; field.dispatchEvent(new Event('change')); })()"
    )
    page.until("document.querySelector('.changes').textContent.includes('total variation weight 17')", PATIENCE)
    # The keyboard pauses, a button goes on.
    page.run("document.activeElement.blur()")
    key(page, "p")
    badge(page, "Paused")
    shoot("paused")
    key(page, "c")
    page.until("document.querySelector('.word').textContent.startsWith('Saved as ')", PATIENCE, "a copy")
    page.run("document.querySelector('[data-action=pause]').click()")
    badge(page, "Painting")
    # The line between the photograph and the picture.
    page.run(
        "(() => { const slider = document.querySelector('.comparison input');"
        " slider.value = 50; slider.dispatchEvent(new Event('input')); })()"
    )
    cut = page.run("getComputedStyle(document.querySelector('.comparison .frame')).getPropertyValue('--cut')")
    expect(cut == "50%", f"the line is at {cut}")
    named = page.run(
        "[...document.querySelectorAll('button, input')].every((one) => one.textContent || one.labels?.length || one.ariaLabel)"
    )
    expect(named, "a control has no name for screen readers")


def narrow(browser, address, shoot):
    """A telephone in the dark, beside the other page: nothing is wider than it."""
    page = browser.open(address, width=360, height=740, dark=True, touch=True)
    badge(page, "Painting")
    page.until("document.querySelector('.comparison .after img')?.complete", PATIENCE, "a picture")
    page.until("document.querySelectorAll('.changes li').length === 2", PATIENCE, "what the other page changed")
    width = page.run("document.documentElement.scrollWidth")
    expect(width <= 360, f"the page is {width} pixels wide on a telephone of 360")
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    shoot("telephone", page)
    expect(not page.said, f"the page said {page.said}")
    page.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screenshots", metavar="FOLDER", help="also write what was seen")
    shots = parser.parse_args().screenshots
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        out = pathlib.Path(folder) / "out.png"
        command = [PROGRAM, "stylize", PHOTO, PAINTING, "-o", out, "--preset", "book", "--size", "64"]
        run = subprocess.Popen(
            [*command, "--iterations", "100000", "--live", "--quiet"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        try:
            line = run.stderr.readline()
            expect(line.startswith("live at "), f"instead of an address, the program said {line!r}")
            address = line.removeprefix("live at ").strip()
            page = browser.open(address)

            def shoot(name, of=page):
                if shots:
                    of.screenshot(os.path.join(shots, f"{name}.png"))

            steer(page, address, shoot)
            narrow(browser, address, shoot)
            page.run("document.querySelector('[data-action=finish]').click()")
            badge(page, "Finished")
            page.until("document.querySelector('.details').textContent.startsWith('Saved to ')", PATIENCE)
            shoot("finished")
            expect(run.wait(PATIENCE) == 0, "the program failed")
            foreign = [url for url in page.asked if not url.startswith((address, "blob:", "data:"))]
            expect(not foreign, f"the page asked for {foreign}")
            expect(not page.said, f"the page said {page.said}")
        finally:
            run.kill()
        changes = record(out)["changes"]
        expect(len(changes) == 3 and changes[0]["content_weight"] < 1, f"the record has the changes {changes}")
        expect(changes[1]["tv_weight"] == 17 and changes[2]["end"] == "run", f"the record has the changes {changes}")
        expect(len(list(pathlib.Path(folder).glob("out-after-*.png"))) == 1, "there is no copy")
    print("  steered, paused, finished")


if __name__ == "__main__":
    try:
        main()
    except Failure as why:
        sys.exit(f"tests/browser/live.py: {why}")
