"""The service against its own OpenAPI document: schemathesis makes requests up from it and checks the answers.

`python -m tests.service.contract --max-examples 1500` does so by hand, with whatever arguments `schemathesis run` takes.
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

from service.model_folder import register_shipped
from service.settings import Settings
from tests.service.conftest import write_model
from tests.service.serving import serving

ROOT = Path(__file__).parents[2]
UNREADABLE = ["--exclude-checks", "positive_data_acceptance"]
"""For a run without files: bytes that nobody can read are refused, although the document cannot say which they are."""


class Outcome(NamedTuple):
    """What schemathesis found."""

    is_good: bool
    cases: int
    report: str


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The address of a service with the model that the document's examples name, and another one."""
    register_shipped(home / "models")
    write_model(home / "models" / "tiny" / "1.safetensors")
    with serving(Settings(home=home, default_model="handwriting", refusal_seconds=0)) as address:
        yield f"http://{address}"


def check(url: str, folder: Path, arguments: Sequence[str], with_files: bool) -> Outcome:
    """Run schemathesis over the document at this address; with files, pictures are pictures and models are models."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.service.contract_hooks"}
    if with_files:
        write_model(folder / "model.safetensors")
        environment["STN_CONTRACT_MODEL"] = str(folder / "model.safetensors")
    chosen = [*arguments, "--no-color", *([] if with_files else UNREADABLE)]
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", *chosen]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    cases = re.search(r"([\d,]+) generated", done.stdout)
    return Outcome(done.returncode == 0, int(cases[1].replace(",", "")) if cases else 0, done.stdout)


def main(arguments: list[str]) -> int:
    """Check with and without files; 1 where something was found."""
    os.environ.setdefault("STN_RUNTIMES", '["eager"]')
    outcomes = []
    for with_files in (True, False):
        with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "home") as url:
            outcomes.append(check(url, Path(folder), arguments, with_files))
        sys.stdout.write(outcomes[-1].report)
    sys.stdout.write(f"{sum(outcome.cases for outcome in outcomes):,} cases\n")
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
