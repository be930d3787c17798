"""Write a picture of a web page to standard output, as PNG: look.py URL SECONDS.

The picture shows the page after SECONDS. Chromium takes it as soon as a page is loaded. So the page is in a
frame of another page, which has an image that arrives late.
"""

import html
import http.server
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

URL, SECONDS = sys.argv[1], float(sys.argv[2])
PAGE = f"""<!doctype html><body style="margin:0">
<iframe src="{html.escape(URL)}" style="border:0;width:1280px;height:800px"></iframe>
<img src="/late" alt="">"""


class Frame(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        late = self.path == "/late"
        if late:
            time.sleep(SECONDS)
        body = b"" if late else PAGE.encode()
        self.send_response(404 if late else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def answers() -> bool:
    try:
        urllib.request.urlopen(URL, timeout=60).close()  # noqa: S310 - the test's own page
    except OSError:
        return False
    return True


# programs under emulation start slowly, and chromium does not retry a page that is missing
end = time.monotonic() + 120
while not answers() and time.monotonic() < end:
    time.sleep(0.5)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Frame)
threading.Thread(target=server.serve_forever, daemon=True).start()
subprocess.run(
    [
        *(
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=1280,900",
        ),
        *("--screenshot=/tmp/seen.png", f"http://127.0.0.1:{server.server_port}/"),
    ],
    check=True,
    stdout=sys.stderr,
)
sys.stdout.buffer.write(Path("/tmp/seen.png").read_bytes())
