"""The log on a job's page, in a real browser, with a real `stn serve` that is killed in the middle."""

import os
import signal
import socket
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.service.jobs.driven import begun, config, store_at, write_run
from tests.service.page.browsing import serve
from tests.service.page.training import opened
from tests.service.running import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TAIL = 500
"""Lines that are shown of what was written before."""


class Log:
    """A job's log, which grows by lines that are all different."""

    def __init__(self, path: Path) -> None:
        self.path, self._count = path, 0

    def grow(self, lines: int) -> None:
        with self.path.open("a") as file:
            for _ in range(lines):
                self._count += 1
                file.write(f"step {self._count}, é€😀 a\u2028b\n")

    def tail(self, lines: int) -> str:
        return "\n".join(self.path.read_text().split("\n")[-lines - 1 :])


def test_the_log_goes_on_without_a_lost_or_repeated_line(browser: Browser, tmp_path: Path) -> None:
    """After the server was killed, a reload, the end of the job, and a resumption."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    store = store_at(tmp_path)
    store.create(config())
    job = begun(store)
    log = Log(write_run(tmp_path, job.id, "") / "console.txt")
    log.grow(20)
    with serving(tmp_path, "--port", port, log=tmp_path / "first.txt") as service:
        service.wait_until_ready()
        context = opened(browser, f"{service.url}/#jobs/{job.id}")
        page, complaints = context.__enter__()
        asked: list[Request] = []
        page.on("request", lambda request: asked.append(request) if "/logs" in request.url else None)
        try:
            shows(page, log.path.read_text())
            log.grow(10)
            shows(page, log.path.read_text())
            assert complaints == []
            os.killpg(service.process.pid, signal.SIGKILL)
            log.grow(TAIL)
            expect(page.locator("#jobs .wrong").first).to_contain_text("Trying again")
            size = log.path.stat().st_size
            log.grow(10)
            with serving(tmp_path, "--port", port, log=tmp_path / "second.txt") as second:
                second.wait_until_ready()
                shows(page, log.path.read_text())
                assert 0 < int(asked[-1].headers["last-event-id"]) < size
                page.reload()
                shows(page, log.tail(TAIL))
                log.grow(5)
                shows(page, log.tail(TAIL + 5))
                store.finish(job, "failed", "exit code 2", failure="mistake")
                expect(page.locator("#jobs .state")).to_have_text("failed")
                page.wait_for_timeout(1000)
                asked.clear()
                page.wait_for_timeout(2000)
                assert asked == []  # `end` was the last
                page.get_by_role("button", name="Resume").click()
                expect(page.locator("#jobs .state")).to_have_text("queued")
                log.grow(5)
                shows(page, log.tail(TAIL + 10))
                assert len(asked) == 1
        finally:
            context.__exit__(None, None, None)
            store.close()


def test_a_job_that_was_resumed_before_its_end_was_told_is_followed(browser: Browser, tmp_path: Path) -> None:
    store = store_at(tmp_path)
    store.create(config())
    job = begun(store)
    ended = {"content_type": "text/event-stream", "body": 'event: end\ndata: {"state": "failed"}\n\n'}
    with serve(tmp_path) as address, opened(browser, f"{address}/#data") as (page, complaints):
        page.route("**/events", lambda route: route.fulfill(**ended), times=1)
        with page.expect_response("**/events"):
            page.goto(f"{address}/#jobs/{job.id}")
        expect(page.locator("#jobs .state")).to_have_text("running")
        page.wait_for_timeout(500)
        store.finish(job, "failed", "exit code 2", failure="mistake")
        expect(page.locator("#jobs .state")).to_have_text("failed")
        assert complaints == []
    store.close()


def shows(page: Page, text: str) -> None:
    """Wait until the log is this, and see that it stays so."""
    log = page.locator(".log")
    last = text.rstrip("\n").rpartition("\n")[2]
    expect(log).to_contain_text(last.partition(",")[0])
    page.wait_for_timeout(600)
    assert log.evaluate("log => log.textContent") == text
