#!/usr/bin/env python3
"""The page of out/web in a real Chromium: the native program's numbers, the controls, what goes wrong, no connection.

    tools/web && cargo build --release && tests/browser/tab.py [--screenshots FOLDER] [NAMES OF TESTS]

Chromium paints by SwiftShader, on the processor: sizes are small.
"""

import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time
import zlib

from chromium import WEBGPU, Browser, Failure, serving

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/release/impasto"
PHOTO, PAINTING = ROOT / "assets/photo.jpg", ROOT / "assets/painting.jpg"
# Below the root of its server, as on many hosts.
PLACE = "some/where/"
# Both in Chromium and natively, so that sums have the same order.
FORM = "conv3x3=tiled"
# Of the total loss. Sums of float32 are rounded otherwise by other drivers, by some 1e-6; a wrong term would be 1e-2 off.
NEAR = 1e-3
ITERATIONS = 10
# Seconds for what takes some on two busy cores.
PATIENCE = 240

# A page's own worker, with all that it says in `news`.
WORKER = """
(async () => {
  window.news = [];
  window.said = (kind) => news.filter((one) => one.kind === kind);
  window.worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => news.push(data);
  for (const [which, name] of [["content", "photo.jpg"], ["style", "painting.jpg"]]) {
    const bytes = new Uint8Array(await (await fetch(name)).arrayBuffer());
    worker.postMessage({ kind: "look", which, name, bytes });
  }
})()
"""

shots = None


def expect(condition, what):
    if not condition:
        raise Failure(what)


def screenshot(page, name):
    if shots:
        page.screenshot(os.path.join(shots, f"{name}.png"))


def native(preset, size, folder):
    """The losses of the program itself, and the picture."""
    losses, out = folder / "losses.jsonl", folder / "native.png"
    command = [PROGRAM, "stylize", PHOTO, PAINTING, "--preset", preset, "--size", str(size), "--variant", FORM]
    subprocess.run([*command, "--losses", losses, "-o", out, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return [json.loads(line) for line in losses.read_text().splitlines()]


def tabs_losses(page, preset, size):
    """The losses of a run in a tab."""
    request = {"preset": preset, "size": size}
    page.run(WORKER)
    page.until("said('able').length", PATIENCE, "a device that is ready")
    page.run(f"worker.postMessage({json.dumps({'kind': 'paint', 'request': request, 'file': 'x.png', 'form': FORM})})")
    page.until("said('done').length || said('failed').length", PATIENCE * 5, "the end of the run")
    failed = page.run("said('failed').map(({ text }) => text)")
    expect(not failed, f"the run in the tab failed: {failed}")
    losses = page.run("said('losses').map(({ losses }) => losses)")
    times = page.run("said('losses').map(({ at }) => at)")
    each = (times[-1] - times[0]) / (len(times) - 1) / 1000
    page.run("worker.terminate()")
    return losses, each


def losses(address, recipe, size, more=""):
    preset = f'recipe = "{recipe}"\niterations = {ITERATIONS}\nfirst_iterations = []\n{more}'
    with tempfile.TemporaryDirectory() as folder, Browser(WEBGPU) as browser:
        folder = pathlib.Path(folder)
        file = folder / "look.toml"
        file.write_text(preset)
        wanted = native(file, size, folder)
        found, each = tabs_losses(browser.open(address), preset, size)
        expect(len(wanted) == len(found) == ITERATIONS, f"{len(wanted)} iterations natively, {len(found)} in the tab")
        worst = 0
        for one, other in zip(wanted, found):
            for term in ("total", "content", "style", "tv", "nearest"):
                off = abs(one.get(term, 0) - other.get(term, 0)) / one["total"]
                worst = max(worst, off)
                expect(off <= NEAR, f"iteration {one['iteration']}: {term} is {other.get(term)} in the tab, {one.get(term)} natively")
        print(f"  {recipe}, {size} px: {each:.1f} s per iteration, losses at most {worst:.1e} of the total off")


# What takes SwiftShader longer than these tests may: the products of matrices in the Wasserstein loss of 512 channels. All else of
# the painterly recipe is compared, and the finish from the first iteration on.
LIGHT = 'style_layers = ["relu1_1", "relu2_1", "relu3_1"]\nstyle_layer_weights = [16.0, 8.0, 4.0]\nfinish = 1.0\n'


def painterly_64(address):
    losses(address, "painterly", 64, LIGHT)


def painterly_96(address):
    losses(address, "painterly", 96, LIGHT)


def book_64(address):
    losses(address, "book", 64)


def book_96(address):
    losses(address, "book", 96)


def ready(page):
    """Waits until the page could paint the pictures that come with it."""
    page.until("document.getElementById('paint').disabled === false", PATIENCE, "a page that is ready to paint")


def patient(condition, timeout, what):
    end = time.monotonic() + timeout
    while not condition():
        expect(time.monotonic() < end, f"{what} was not seen within {timeout} s")
        time.sleep(0.2)


def press(page, action):
    page.run(f"document.querySelector('[data-action={action}]').click()")


def text(page, selector):
    return page.run(f"document.querySelector({json.dumps(selector)}).textContent")


def choose(page, select, value):
    """Sets a control as a hand does."""
    page.run(
        f"""(() => {{ const one = document.querySelector({json.dumps(select)}); one.value = {json.dumps(value)};
        one.dispatchEvent(new Event("input")); one.dispatchEvent(new Event("change")); }})()"""
    )


def hand_over(page, target, kind, event, carrier, name):
    """Gives the page a file as a paste or a drop does."""
    page.run(
        f"""(async () => {{ const {carrier} = new DataTransfer();
        {carrier}.items.add(new File([await (await fetch("{name}")).blob()], "{name}"));
        {target}.dispatchEvent(new {kind}("{event}", {{ {carrier}, bubbles: true, cancelable: true }})); }})()"""
    )


def inside(page, address):
    """Whatever a page asks for is its own."""
    strangers = [url for url in page.asked if not url.startswith((address, "blob:" + address.split(PLACE)[0], "data:"))]
    expect(not strangers, f"the page asked for {strangers}")


def steering(address):
    """Files of the user, a run that is turned, paused and finished, and what the native program makes of its record."""
    with tempfile.TemporaryDirectory() as folder, Browser(WEBGPU) as browser:
        folder = pathlib.Path(folder)
        page = browser.open(address)
        ready(page)
        screenshot(page, "choose")
        wrong = folder / "letter.jpg"
        wrong.write_text("no picture at all")
        page.choose("#content-file", wrong)
        page.until("document.querySelector('#content .error')", 30, "a refusal")
        why = text(page, "#content .error")
        expect("letter.jpg" in why and "is not a picture of a known kind" in why, f"a wrong file gets {why!r}")
        expect(page.run("document.getElementById('paint').disabled"), "a wrong file can be painted")
        screenshot(page, "refused")
        hand_over(page, "document", "ClipboardEvent", "paste", "clipboardData", "coffee.jpg")
        hand_over(page, "document.querySelector('#style .drop input')", "DragEvent", "drop", "dataTransfer", "woodcut.jpg")
        page.until("document.querySelector('#content .about').textContent.includes('512 × 341')", 60, "the photograph's size")
        ready(page)
        choose(page, "#look", "book")
        choose(page, "#size", "0")
        page.until("document.getElementById('needs').textContent.includes(' MB ')", 60, "what the run needs")
        page.run("document.getElementById('paint').click()")
        page.until("document.querySelector('#run canvas')?.width === 64", PATIENCE, "a picture on the canvas")
        colours = page.run(
            """(() => { const one = document.querySelector("#run canvas");
            const { data } = one.getContext("2d").getImageData(0, 0, one.width, one.height);
            return [one.width, one.height, new Set(new Uint32Array(data.buffer)).size]; })()"""
        )
        expect(colours[:2] == [64, 43] and colours[2] > 500, f"the canvas has width, height and colours {colours}")
        choose(page, "#run .strength input[type=range]", "0.8")
        page.until("document.querySelectorAll('.changes li').length === 1", PATIENCE, "a change in the list")
        expect("content weight" in text(page, ".changes li"), "the change does not name the content weight")
        press(page, "pause")
        page.until("document.querySelector('.badge').textContent === 'Paused'", PATIENCE, "a pause")
        screenshot(page, "paused")
        before = page.run("document.title")
        time.sleep(3)
        expect(before == page.run("document.title"), "a paused run goes on")
        press(page, "pause")
        page.until("document.querySelector('.badge').textContent === 'Painting'", PATIENCE, "a run that goes on")
        press(page, "finish")
        page.until("document.querySelector('.badge').textContent === 'Finished'", PATIENCE, "the end")
        screenshot(page, "finished")
        browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        page.run("document.querySelector('a[download]').click()")
        result = folder / "coffee-woodcut.png"
        patient(result.exists, 30, f"the download {result.name}")
        inside(page, address)
        expect(not page.said, f"the console has {page.said}")
        again = folder / "again.png"
        command = [PROGRAM, "stylize", ROOT / "assets/coffee.jpg", ROOT / "assets/woodcut.jpg", "--settings-from", result, "-o", again]
        repeated = subprocess.run([*command, "--json"], capture_output=True, text=True)
        expect(repeated.returncode == 0, f"the program does not repeat the run: {repeated.stderr}")
        expect("other styles" not in repeated.stderr and "another content" not in repeated.stderr, repeated.stderr)
        events = [json.loads(line) for line in repeated.stdout.splitlines()]
        start = next(event for event in events if "iterations" in event)
        expect((start["width"], start["height"]) == (64, 43), f"the program repeats another size: {start}")
        print(f"  repeated natively with {start['iterations']} iterations")


def black_png(width, height, rows):
    """The bytes of a black picture that declares a size and has as many rows of pixels as there should be, or fewer."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(rows * (width + 1)), 1)) + chunk(b"IEND", b"")


def large_photograph(address):
    """A photograph of 27 million pixels is scaled by the browser, and one that no memory would hold is refused."""
    with tempfile.TemporaryDirectory() as folder, Browser(WEBGPU) as browser:
        page = browser.open(address)
        ready(page)
        about = "document.querySelector('#content .about').textContent"
        large, absurd = pathlib.Path(folder, "large.png"), pathlib.Path(folder, "absurd.png")
        large.write_bytes(black_png(6000, 4500, 4500))
        page.choose("#content-file", large)
        page.until(f"{about}.includes('scaled it to 4096 x 3072')", 60, "a photograph that was scaled")
        ready(page)
        # What its header declares is enough.
        absurd.write_bytes(black_png(60000, 50000, 1))
        page.choose("#content-file", absurd)
        page.until(f"{about}.includes('scale it down first')", 60, "a refusal")


def offline(address, stop):
    """After the first visit there need be no server."""
    with Browser(WEBGPU) as browser:
        page = browser.open(address)
        ready(page)
        page.until("!!navigator.serviceWorker.controller", 60, "a service worker")
        page.until(
            """caches.keys().then(async (names) => {
            const all = await Promise.all(names.map(async (name) => (await (await caches.open(name)).keys()).length));
            return names.length === 2 && all.reduce((a, b) => a + b) > 20; })""",
            60,
            "caches that are full",
        )
        page.close()
        stop()
        page = browser.open(address)
        ready(page)
        shown = page.run("[...document.querySelectorAll('.shelf img')].every((one) => one.complete && one.naturalWidth > 0)")
        expect(shown, "a bundled picture is missing without a connection")


def without_webgpu(address):
    """A browser without WebGPU: a sentence, and no large download."""
    with Browser() as browser:
        page = browser.open(address)
        page.until("document.querySelector('.notices .error')", 60, "a sentence")
        said = text(page, ".notices .error")
        expect("no WebGPU" in said and "Chrome" in said, f"the page says {said!r}")
        expect(page.run("document.getElementById('paint').disabled"), "the page offers to paint")
        workers = page.run("performance.getEntriesByType('resource').map((one) => one.name).join(' ')")
        kept = page.run("caches.keys().then((names) => names.filter((name) => name.includes('network')))")
        expect("safetensors" not in workers and not kept, "the network was fetched for nothing")
        screenshot(page, "without-webgpu")


def lost_device(address):
    """A device that goes away while it paints, and a size that it has no room for."""
    with Browser(WEBGPU) as browser:
        page = browser.open(address)
        ready(page)
        choose(page, "#size", page.run("document.getElementById('size').max"))
        page.until("document.querySelector('#needs.error')", 60, "a refusal of the size")
        why = text(page, "#needs")
        expect("the largest that fits is" in why and "--" not in why, f"the page says {why!r}")
        screenshot(page, "too-large")
        choose(page, "#size", "0")
        page.until("document.querySelector('#needs:not(.error)')", 60, "another size")
        page.run("document.getElementById('paint').click()")
        page.until("document.querySelector('.badge').textContent === 'Painting'", PATIENCE, "a run")
        browser.call("Browser.crashGpuProcess")
        page.until("document.querySelector('.notices .error')", PATIENCE, "a sentence")
        why = text(page, ".notices .error")
        expect("graphics device" in why and "try" in why, f"the page says {why!r}")
        screenshot(page, "lost")
        page.run("document.querySelector('.after-run button').click()")
        ready(page)


TESTS = [without_webgpu, offline, large_photograph, steering, lost_device, painterly_64, book_64]
# Run if they are named: each takes three minutes or more of two cores, and all together may take ten.
NAMED = [painterly_96, book_96]


def main():
    global shots
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--screenshots", metavar="FOLDER", help="keep pictures of the page there")
    options.add_argument("--page", metavar="FOLDER", type=pathlib.Path, default=ROOT / "out/web", help="what tools/web has built")
    options.add_argument("names", nargs="*", help="the tests to run; by default all but the longest")
    options = options.parse_args()
    names = [test.__name__ for test in TESTS + NAMED]
    if unknown := set(options.names) - set(names):
        sys.exit(f"tab.py: there is no test {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    for needed, how in ((options.page / "index.html", "tools/web"), (PROGRAM, "cargo build --release")):
        if not needed.exists():
            sys.exit(f"tab.py: {needed} is missing; run {how} first")
    shots = options.screenshots
    if shots:
        os.makedirs(shots, exist_ok=True)
    failed = []
    named = [test for test in TESTS + NAMED if test.__name__ in options.names]
    for test in named or TESTS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            # The page is a folder below the root of what is served.
            place = pathlib.Path(folder, PLACE)
            place.parent.mkdir(parents=True)
            place.symlink_to(options.page.resolve())
            with serving(folder) as (root, stop):
                try:
                    test(root + PLACE) if test.__code__.co_argcount == 1 else test(root + PLACE, stop)
                    word = "ok"
                except (Failure, subprocess.CalledProcessError) as failure:
                    word = f"FAILED: {failure}"
                    failed.append(test.__name__)
        print(f"{test.__name__}: {word} ({time.monotonic() - began:.0f} s)", flush=True)
    if failed:
        sys.exit(f"tab.py: {len(failed)} failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
