"""A Flask app on a real port of this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from waitress import wasyncore
from waitress.server import BaseWSGIServer, TcpWSGIServer, create_server
from werkzeug.serving import make_server


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Its address, while the block lasts."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def served_as_in_life(app: Flask, *, threads: int = 8) -> Iterator[str]:
    """Its address, while the block lasts, behind the server that a hub runs."""
    server = create_server(app, host="127.0.0.1", port=0, threads=threads)
    assert isinstance(server, TcpWSGIServer)
    loop = threading.Thread(target=server.run)
    loop.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        close_from_its_loop(server)
        loop.join()
        server.task_dispatcher.shutdown()


def close_from_its_loop(server: BaseWSGIServer) -> None:
    """Have a server's loop close what it listens to: closed by another thread it is still polled.

    A request that just ended may have woken the loop already, which would close its pipe before
    the byte that wakes it for this is written. So it closes once that is out.
    """
    is_woken = threading.Event()

    def close() -> None:
        is_woken.wait()
        wasyncore.close_all(server._map)

    server.trigger.pull_trigger(close)
    is_woken.set()
