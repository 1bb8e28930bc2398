#!/usr/bin/env python3
"""The page of `impasto stylize --live` in a real Chromium: start, move a slider, pause, go on, finish; the record has it all.

    cargo build --release && tests/browser/live.py [--screenshots FOLDER]
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from chromium import Browser, Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/release/impasto"
PATIENCE = 120
BADGE = "document.querySelector('.badge').textContent"


def expect(condition, what):
    if not condition:
        raise Failure(what)


def painting(folder, *options):
    """A long run with its page, and the page's address. What the program says goes into `said`."""
    pictures = [ROOT / "assets/photo.jpg", ROOT / "assets/painting.jpg"]
    command = [PROGRAM, "stylize", *pictures, "-o", folder / "result.png", "--preset", "book", "--size", "96"]
    run = subprocess.Popen(
        [*command, "--iterations", "100000", "--live", *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    said = []
    for line in run.stderr:
        said.append(line)
        if "live at " in line:
            # What follows must not fill the pipe.
            threading.Thread(target=lambda: said.extend(run.stderr), daemon=True).start()
            return run, line.split("live at ", 1)[1].strip(), said
    raise Failure(f"the program gave no address: {said}")


def test(shots):
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        folder = pathlib.Path(folder)
        run, address, said = painting(folder)
        try:
            page = browser.open(address)
            page.until("document.querySelector('.after img')?.naturalWidth === 96", PATIENCE, "a picture")
            page.until(f"{BADGE} === 'Painting'", PATIENCE, "a run")
            page.run(
                """(() => { const one = document.querySelector(".strength input[type=range]"); one.value = 0.8;
                one.dispatchEvent(new Event("input")); })()"""
            )
            page.until("document.querySelectorAll('.changes li').length === 1", PATIENCE, "a change in the list")
            page.run("document.querySelector('[data-action=pause]').click()")
            page.until(f"{BADGE} === 'Paused'", PATIENCE, "a pause")
            if shots:
                page.screenshot(os.path.join(shots, "live-paused.png"))
                phone = browser.open(address, width=390, height=844, dark=True, touch=True)
                phone.until(f"{BADGE} === 'Paused'", PATIENCE, "a second page")
                phone.screenshot(os.path.join(shots, "live-phone-dark.png"))
                phone.close()
            time.sleep(1)
            details = "document.querySelector('.details').textContent"
            before = page.run(details)
            time.sleep(2)
            expect(page.run(details) == before, "a paused run goes on")
            page.run("document.querySelector('[data-action=pause]').click()")
            page.until(f"{BADGE} === 'Painting' && {details} !== {before!r}", PATIENCE, "a run that goes on")
            page.run("document.querySelector('[data-action=finish]').click()")
            page.until(f"{BADGE} === 'Finished'", PATIENCE, "the end")
            try:
                code = run.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                raise Failure("the program does not end when its run has ended") from None
            expect(code == 0, f"the program ended with {code}: {said}")
            strangers = [url for url in page.asked if not url.startswith((address, "blob:", "data:"))]
            expect(not strangers, f"the page asked for {strangers}")
            expect(not page.said, f"the console has {page.said}")
            record = (folder / "result.png").read_bytes()
            expect(b'"changes":[{' in record and b'"end":"run"' in record, "the record does not have what was changed")
        finally:
            run.kill()
            run.wait()


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--screenshots", metavar="FOLDER", help="keep pictures of the page there")
    options = options.parse_args()
    if not PROGRAM.exists():
        sys.exit(f"live.py: {PROGRAM} is missing; run cargo build --release first")
    if options.screenshots:
        os.makedirs(options.screenshots, exist_ok=True)
    began = time.monotonic()
    try:
        test(options.screenshots)
    except Failure as failure:
        sys.exit(f"live.py: FAILED: {failure}")
    print(f"live: ok ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
