"""The file of keys, the command that changes it, and the service that follows it."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.access import key_ring
from service.access.key_ring import KeyRing
from service.access.keys import create_key, read_keys, revoke_key
from service.commands.cli import main


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "LOOK_SECONDS", 0.0)


def test_a_key_is_256_random_bits_of_which_the_file_has_the_hash_alone(path: Path) -> None:
    secret = create_key(path, "alice", ("predict", "models"), expires=1.0, rate=2.5)
    assert secret.startswith("stn_") and len(secret) == 4 + 43  # 6 bits a character
    assert secret != create_key(path, "bob", ("jobs",))
    text = path.read_text()
    assert secret not in text and secret.removeprefix("stn_") not in text
    alice, bob = read_keys(path)
    assert alice.sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert (alice.name, alice.scopes, alice.rate) == ("alice", ("predict", "models"), 2.5)
    assert alice.expires and (alice.expires - alice.created).days == 1
    assert (bob.scopes, bob.expires, bob.rate) == (("jobs",), None, None)


def test_only_the_owner_may_read_the_file_whatever_the_umask(path: Path) -> None:
    umask = os.umask(0)
    try:
        create_key(path, "alice", ("predict",))
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    create_key(path, "bob", ("predict",))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) == ["keys.json", "keys.json.lock"]


def test_a_file_that_others_may_write_is_refused(path: Path) -> None:
    create_key(path, "alice", ("predict",))
    path.chmod(0o620)
    with pytest.raises(ValueError, match="writable by its owner alone"):
        read_keys(path)


def test_two_keys_cannot_have_one_name(path: Path) -> None:
    create_key(path, "alice", ("predict",))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="name must be one that no key has, got 'alice'"):
        create_key(path, "alice", ("admin",))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "expires", "rate", "message"),
    [
        ("", None, None, "name: "),
        ("a b", None, None, "name: "),
        ("a\n", None, None, "name: "),
        ("a/b", None, None, "name: "),
        ("a" * 65, None, None, "name: "),
        ("a", 0.0, None, "expires must be in"),
        ("a", -1.0, None, "expires must be in"),
        ("a", float("nan"), None, "expires must be in"),
        ("a", float("inf"), None, "expires must be in"),
        ("a", None, 0.0, "rate: "),
        ("a", None, float("inf"), "rate: "),
        ("a", None, float("nan"), "rate: "),
    ],
)
def test_an_impossible_key_is_not_written(
    path: Path, name: str, expires: float | None, rate: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        create_key(path, name, ("predict",), expires, rate)
    assert not path.exists()


def test_a_key_needs_a_scope(path: Path) -> None:
    with pytest.raises(ValueError, match="scopes: "):
        create_key(path, "alice", ())


def test_a_revoked_key_is_gone_from_the_file_and_its_name_is_free(path: Path) -> None:
    create_key(path, "alice", ("predict",))
    revoke_key(path, "alice")
    assert read_keys(path) == ()
    with pytest.raises(ValueError, match=r"name must be that of a key \(none\), got 'alice'"):
        revoke_key(path, "alice")
    create_key(path, "alice", ("predict",))


def test_writers_at_the_same_time_lose_nothing(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from service.access.keys import create_key; "
        "[create_key(Path(sys.argv[1]), sys.argv[2] + str(i), ('predict',)) for i in range(5)]"
    )
    with ThreadPoolExecutor(3) as pool:
        ended = pool.map(lambda name: subprocess.run([sys.executable, "-c", code, str(path), name]).returncode, "abc")
        assert list(ended) == [0, 0, 0]
    assert sorted(key.name for key in read_keys(path)) == sorted(f"{name}{i}" for name in "abc" for i in range(5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file: Invalid JSON"),
        ("[]", "the file: "),
        ('{"keys": [{"name": "a"}]}', "keys.0.scopes: Field required"),
        ('{"keys": [], "kyes": []}', "kyes: Extra inputs"),
    ],
)
def test_a_file_that_is_none_of_keys_is_named_with_what_is_wrong(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ValueError, match="the keys file cannot be read") as error:
        read_keys(path)
    assert message in str(error.value)
    with pytest.raises(ValueError, match="the keys file cannot be read"):
        KeyRing(path)


def test_a_file_with_one_key_twice_is_refused(path: Path) -> None:
    create_key(path, "alice", ("predict",))
    (entry,) = json.loads(path.read_text())["keys"]
    path.write_text(json.dumps({"keys": [entry, {**entry, "name": "bob"}]}))
    with pytest.raises(ValueError, match="must have each sha256 once"):
        read_keys(path)


@pytest.mark.usefixtures("impatient")
def test_a_running_service_notices_new_and_revoked_keys(path: Path) -> None:
    ring = KeyRing(path)
    assert not ring.required
    secret = create_key(path, "alice", ("predict",)).encode()
    ring.refresh()
    assert ring.required
    known = ring.find(secret)
    assert known is not None and known.identity.name == "alice"
    assert ring.find(secret[:-1]) is None and ring.find(secret + b"x") is None and ring.find(b"") is None
    revoke_key(path, "alice")
    ring.refresh()
    assert ring.required and ring.find(secret) is None


@pytest.mark.usefixtures("impatient")
def test_a_damaged_file_leaves_the_keys_as_they_were(path: Path) -> None:
    secret = create_key(path, "alice", ("predict",)).encode()
    ring = KeyRing(path)
    path.write_text("{")
    ring.refresh()
    assert ring.required and ring.find(secret) is not None


@pytest.mark.usefixtures("impatient")
def test_a_file_that_appears_damaged_asks_for_keys_and_has_none(path: Path) -> None:
    ring = KeyRing(path)
    path.write_text("{")
    ring.refresh()
    assert ring.required and ring.find(b"stn_") is None


@pytest.mark.usefixtures("impatient")
def test_without_its_file_a_service_that_asked_for_keys_lets_nobody_in(path: Path) -> None:
    secret = create_key(path, "alice", ("predict",)).encode()
    ring = KeyRing(path)
    path.unlink()
    ring.refresh()
    assert ring.required and ring.find(secret) is None


def test_the_file_is_looked_at_once_a_second(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    real_stat = os.stat
    ring = KeyRing(path)
    monkeypatch.setattr(key_ring.os, "stat", lambda name: looks.append(name) or real_stat(name))
    clock = iter([ring._next_look + offset for offset in (-0.9, -0.1, 0.1, 0.5, 1.0, 1.2)])
    monkeypatch.setattr(key_ring.time, "monotonic", lambda: next(clock))
    for _ in range(6):
        ring.refresh()
    assert len(looks) == 2


def test_the_command_prints_the_key_alone_on_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STN_HOME", str(tmp_path / "new"))
    assert main(["keys", "create", "alice", "--scopes", "predict", "models", "--expires", "30", "--rate", "5"]) == 0
    printed = capsys.readouterr()
    (secret,) = printed.out.splitlines()
    assert "from now on every request needs a key" in printed.err
    known = KeyRing(tmp_path / "new" / "keys.json").find(secret.encode())
    assert known is not None and known.identity.scopes == {"predict", "models"} and known.rate == 5
    assert known.expires == pytest.approx(datetime.now(UTC).timestamp() + 30 * 86400, abs=60)

    assert main(["keys", "list"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("alice  predict,models  created 20") and "5 requests per second" in line
    assert main(["keys", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scopes"] == ["predict", "models"]

    assert main(["keys", "revoke", "alice"]) == 0
    assert main(["keys", "revoke", "alice"]) == 2
    assert "error: name must be that of a key (none), got 'alice'" in capsys.readouterr().err
    assert main(["keys", "create", "bob", "--scopes", "everything"]) == 2
    assert "invalid choice 'everything'" in capsys.readouterr().err


def test_the_file_of_keys_can_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STN_KEYS_FILE", str(tmp_path / "secret" / "keys"))
    assert main(["keys", "create", "alice"]) == 0
    assert [key.scopes for key in read_keys(tmp_path / "secret" / "keys")] == [("predict",)]


def test_without_keys_the_list_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STN_HOME", str(tmp_path))
    assert main(["keys", "list"]) == 0
    assert "there are no keys" in capsys.readouterr().err
