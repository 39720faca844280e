"""Pages, API, feed and control over one host, on their ports until they are asked to end."""

import asyncio
import contextlib
import gc
import logging
import signal

import uvicorn

from algohost.bootstrap import open_host
from algohost.cli.control_server import ControlServer
from algohost.settings import Settings
from algohost.web.app import create_app
from algohost.web.feed import FeedServer
from algohost.web.one_write import OneWriteProtocol
from algohost.web.serving import EmbeddedServer

log = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Serves pages, API, feed and control until SIGTERM or SIGINT; 0 after an orderly end."""
    try:
        import uvloop
    except ImportError:  # Windows has none
        return asyncio.run(_serve(settings))
    return uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    async with open_host(settings) as host:
        web = EmbeddedServer(
            uvicorn.Config(
                create_app(host),
                host=settings.host,
                port=settings.port,
                log_level="warning",
                access_log=False,
                log_config=None,
                lifespan="on",
                proxy_headers=False,  # a client's word about its address counts for nothing
                server_header=False,
                http=OneWriteProtocol,
                timeout_graceful_shutdown=2,
            )
        )
        feed = FeedServer(host)
        control = ControlServer(host, settings.data_dir, end=lambda: _end(web))
        _end_on_signals(web)
        await feed.start()
        await control.start()
        # What is here now stays: a full collection that goes through it stops the loop for some
        # 60 ms, at any moment. What comes later is collected as always.
        gc.freeze()
        gc.enable()
        log.info("server_up web=%s feed=%s", settings.web_url, settings.feed_url)
        try:
            await web.serve()
        finally:
            await control.stop()
            await feed.stop()
    log.info("server_down")
    return 0


def _end(web: uvicorn.Server) -> None:
    web.should_exit = True


def _end_on_signals(web: uvicorn.Server) -> None:
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: the default ends us as well
            loop.add_signal_handler(sign, _end, web)
