from pathlib import Path

import pytest

from service.settings import Settings, handed_over, taken_over

URL = "postgresql+psycopg://stn@postgres:5432/stn?sslmode=require"


def test_the_password_of_the_database_comes_from_a_file_and_is_handed_over_by_the_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text("a/b@c:d%\n")
    settings = Settings(database=URL, database_password_file=file)
    assert settings.job_database == "postgresql+psycopg://stn:a%2Fb%40c%3Ad%25@postgres:5432/stn?sslmode=require"
    argument, secrets = handed_over(settings)
    assert "a%2Fb" not in argument + repr(settings)
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    assert taken_over(argument).job_database == settings.job_database


@pytest.mark.parametrize(
    ("database", "name", "message"),
    [
        ("", "password", "database must name its user"),
        ("postgresql://postgres/stn", "password", "database must name its user"),
        (URL, "nothing", "database_password_file must be readable, got .*nothing"),
    ],
)
def test_a_password_without_a_user_or_a_file_is_an_error(
    tmp_path: Path, database: str, name: str, message: str
) -> None:
    (tmp_path / "password").write_text("secret")
    with pytest.raises(ValueError, match=message):
        Settings(database=database, database_password_file=tmp_path / name)
