"""The service in several processes that share one port: `python -m tests.service.workers PORT`, the home from STN_HOME."""

import sys

import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.exposition import shared_folder
from service.settings import Settings


def app() -> FastAPI:
    return create_app(Settings())


if __name__ == "__main__":
    with shared_folder():
        uvicorn.run(
            "tests.service.workers:app",
            factory=True,
            port=int(sys.argv[1]),
            workers=2,
            # On a machine that is busy, a worker that still imports answers late, and would be killed for it.
            timeout_worker_healthcheck=60,
            log_config=None,
            access_log=False,
        )
