"""The page, opened in the browser of whoever starts the studio."""

import socket
import threading
import time
import webbrowser

WAIT_S = 60.0
EVERY_S = 0.2


def open_when_ready(host: str, port: int) -> None:
    """Open the browser as soon as the server listens; where there is no browser, nothing happens."""
    threading.Thread(target=_open, args=(host, port), name="browser", daemon=True).start()


def _open(host: str, port: int) -> None:
    until_s = time.monotonic() + WAIT_S
    while time.monotonic() < until_s:
        try:
            socket.create_connection((host, port), timeout=EVERY_S).close()
        except OSError:
            time.sleep(EVERY_S)
        else:
            webbrowser.open(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            return
