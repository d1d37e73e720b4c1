"""The service against its own OpenAPI document: schemathesis makes requests up from it and checks the answers.

`scripts/schemathesis --max-examples 185` does so by hand, with whatever arguments `schemathesis run` takes.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from service.access.keys import create_key
from service.access.scopes import SCOPES
from service.jobs.schemas import EXAMPLE_ID
from service.models.folder import register_shipped
from service.settings import Settings
from tests.service.conftest import write_model
from tests.service.datasets.zips import example_dataset
from tests.service.jobs.driven import example_job
from tests.service.serving import serving

ROOT = Path(__file__).parents[3]
UNREADABLE = ["--exclude-checks", "positive_data_acceptance"]
"""For a run without files: bytes that nobody can read are refused, although the document cannot say which they are."""

CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 504]
"""
"""504 is what is asked for where a request's own X-Request-Timeout passes, as while a model is loaded."""


class Address(NamedTuple):
    """Where a service is, and the key for it."""

    url: str
    key: str | None

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


class Outcome(NamedTuple):
    """What schemathesis found."""

    is_good: bool
    cases: int
    report: str


@contextmanager
def served(home: Path, is_locked: bool) -> Iterator[Address]:
    """A service, with keys or without, that has what the document's examples name, and another model."""
    register_shipped(home / "models")
    write_model(home / "models" / "tiny" / "1.safetensors")
    example_job(home, EXAMPLE_ID)
    example_dataset(home, "my-photos")
    settings = Settings(home=home, default_model="handwriting", refusal_seconds=0)
    key = create_key(settings.keys_path, "all", SCOPES) if is_locked else None
    with serving(settings) as address:
        yield Address(f"http://{address}", key)


def check(address: Address, folder: Path, arguments: Sequence[str], with_files: bool) -> Outcome:
    """Run schemathesis over the document at this address; with files, pictures are pictures and models are models."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.service.openapi.contract_hooks"}
    if with_files:
        write_model(folder / "model.safetensors")
        environment["STN_CONTRACT_MODEL"] = str(folder / "model.safetensors")
    (folder / "schemathesis.toml").write_text(CONFIG)  # where it has none, it looks for one in all folders above
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run"]
    command += [f"{address.url}/openapi.json", "--no-color", "--request-timeout", "60", *arguments]
    command += [text for name, value in address.headers().items() for text in ("--header", f"{name}: {value}")]
    command += [] if with_files else UNREADABLE
    # It remembers what it found, in the folder where it runs.
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    cases = re.search(r"([\d,]+) generated", done.stdout)
    report = "\n".join(line[:500] for line in done.stdout.splitlines())  # some hold whole files
    return Outcome(done.returncode == 0, int(cases[1].replace(",", "")) if cases else 0, report + "\n")


def main(arguments: list[str]) -> int:
    """Check with files and a key, and without either; 1 where something was found."""
    os.environ.setdefault("STN_RUNTIMES", "eager")
    outcomes = []
    for is_equipped in (True, False):
        with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "home", is_locked=is_equipped) as address:
            outcomes.append(check(address, Path(folder), arguments, with_files=is_equipped))
        sys.stdout.write(outcomes[-1].report)
    sys.stdout.write(f"{sum(outcome.cases for outcome in outcomes):,} cases\n")
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
