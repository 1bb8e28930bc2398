"""A headless Chromium that does as it is told, through the pipe of its DevTools protocol. The standard library alone.

Pages are served from a folder, below another one, so that a page that asks for anything outside of its own folder is
noticed. What a page asks of other servers is refused and remembered.
"""

import base64
import contextlib
import fcntl
import functools
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time

# WebGPU on this machine's processor (SwiftShader) is behind this flag.
WEBGPU = "--enable-unsafe-webgpu"

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-quic",
    # On busy cores a submission may take longer than it allows a graphics card.
    "--disable-gpu-watchdog",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]


class Failure(Exception):
    """What a test found, in a sentence."""


def program():
    """The path of Chromium, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return None


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files as any plain server gives them."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(folder):
    """Serves `folder`, and gives the address of its root and a way to stop early."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stopped = threading.Event()

    def stop():
        if not stopped.is_set():
            stopped.set()
            server.shutdown()
            server.server_close()

    try:
        yield f"http://localhost:{server.server_port}/", stop
    finally:
        stop()


class Browser:
    """A running Chromium with an empty profile."""

    def __init__(self, *flags):
        path = program()
        if path is None:
            raise Failure("there is no Chromium; install it (apt-get install chromium)")
        self.profile = tempfile.mkdtemp(prefix="impasto-browser-")
        # Above the numbers that the browser expects them at.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in os.pipe() + os.pipe()]
        command = [path, *FLAGS, *flags, f"--user-data-dir={self.profile}", "about:blank"]
        script = f'exec "$@" 3<&{ends[0]} 4>&{ends[3]} {ends[0]}<&- {ends[3]}>&-'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=(ends[0], ends[3]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(ends[0])
        os.close(ends[3])
        self.to, self.back = os.fdopen(ends[1], "wb"), os.fdopen(ends[2], "rb")
        self.answers, self.pages, self.number = {}, {}, 0
        self.lock = threading.Lock()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """Sorts what the browser says: answers to those who wait for them, events to their pages."""
        left = b""
        while chunk := self.back.read1(1 << 20):
            *messages, left = (left + chunk).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self.answers[message["id"]].put(message)
                elif page := self.pages.get(message.get("sessionId")):
                    page.event(message["method"], message["params"])
        for answer in list(self.answers.values()):
            answer.put({"error": {"message": "the browser has ended"}})

    def call(self, method, timeout=60, session=None, **params):
        """Asks the browser for something and returns its answer."""
        message = {"method": method, "params": params}
        if session:
            message["sessionId"] = session
        with self.lock:
            self.number += 1
            message["id"] = self.number
            answer = self.answers[self.number] = queue.SimpleQueue()
            self.to.write(json.dumps(message).encode() + b"\0")
            self.to.flush()
        try:
            reply = answer.get(timeout=timeout)
        except queue.Empty:
            raise Failure(f"Chromium did not answer {method} within {timeout} s") from None
        finally:
            del self.answers[message["id"]]
        if "error" in reply:
            raise Failure(f"Chromium refused {method}: {reply['error'].get('message')}")
        return reply["result"]

    def open(self, address, width=1280, height=900, dark=False, touch=False):
        """A page in a tab of its own."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session, target)
        page.call("Page.enable")
        page.call("Runtime.enable")
        page.call("Network.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch
        )
        scheme = "dark" if dark else "light"
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.goto(address)
        return page

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Page:
    """A tab."""

    def __init__(self, browser, session, target):
        self.browser, self.session, self.target = browser, session, target
        self.asked, self.said = [], []

    def event(self, method, params):
        if method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.said.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.said.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))

    def call(self, method, timeout=60, **params):
        return self.browser.call(method, timeout=timeout, session=self.session, **params)

    def goto(self, address):
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'", 30)

    def run(self, script, timeout=60):
        """The value of an expression in the page, awaited if it is a promise."""
        reply = self.call(
            "Runtime.evaluate", timeout=timeout, expression=script, awaitPromise=True, returnByValue=True
        )
        if details := reply.get("exceptionDetails"):
            text = details.get("exception", {}).get("description") or details["text"]
            raise Failure(f"the page threw {text}")
        return reply["result"].get("value")

    def until(self, script, timeout, what=None):
        """Waits until an expression is true."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            # While a page is being replaced there is nothing to ask.
            with contextlib.suppress(Failure):
                if self.run(f"(async () => Boolean(await ({script})))()"):
                    return
            time.sleep(0.2)
        said = f"; the page said {self.said}" if self.said else ""
        raise Failure(f"{what or script} was not seen within {timeout} s{said}")

    def choose(self, selector, *files):
        """Gives files to an <input type=file>."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[os.path.abspath(file) for file in files])

    def screenshot(self, path, whole=True):
        """Writes what is seen, or all of the page, as a PNG."""
        options = {"captureBeyondViewport": whole}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", **options)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
