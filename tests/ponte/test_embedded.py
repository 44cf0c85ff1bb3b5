"""The embedded engines: start, stop, attach, and every way to die."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from ponte.embedded.child import EngineError, start_time
from ponte.embedded.postgres import EmbeddedPostgres
from ponte.embedded.redis import EmbeddedRedis
from ponte.embedded.sockets import socket_folder
from tests.ponte.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A folder with a cluster that was made once; each test starts its own server on it."""
    folder = Path(tempfile.mkdtemp(prefix="ponte-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(cluster: Path) -> Iterator[EmbeddedPostgres]:
    server = make_postgres(cluster)
    yield server
    server.stop()


@pytest.fixture
def redis(cluster: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(cluster / "redis", cluster / "run")
    yield server
    server.stop()


def make_postgres(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder / "postgres", folder / "run", durable=False)


def ask(server: EmbeddedPostgres, question: str, database: str = "ponte") -> object:
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    return None if row is None else row[0]


def run(server: EmbeddedPostgres, statement: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(statement.encode())


def owner(folder: Path, engine: str) -> subprocess.Popen[str]:
    """Another process that starts an engine and keeps it until it is killed."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from ponte.embedded.postgres import EmbeddedPostgres\n"
        "from ponte.embedded.redis import EmbeddedRedis\n"
        f"folder = Path({str(folder)!r})\n"
        f"server = {engine}\n"
        "server.start()\n"
        "print(server.process.pid, flush=True)\n"
        "time.sleep(600)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


POSTGRES = "EmbeddedPostgres(folder / 'postgres', folder / 'run', durable=False)"
REDIS = "EmbeddedRedis(folder / 'redis', folder / 'run')"


# -- PostgreSQL -------------------------------------------------------------------------------


def test_both_databases_are_there_and_no_tcp_port_is_open(postgres: EmbeddedPostgres) -> None:
    postgres.start()

    assert ask(postgres, "SELECT current_user::text") == "ponte"
    assert ask(postgres, "SELECT current_database()::text", "rasa") == "rasa"
    assert ask(postgres, "SHOW listen_addresses") == ""
    assert ask(postgres, "SHOW server_encoding") == "UTF8"


def test_starting_twice_is_one_server(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    assert postgres.process is not None
    pid = postgres.process.pid

    postgres.start()

    assert postgres.process.pid == pid


def test_data_stays_over_a_stop_and_a_start(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    run(postgres, "CREATE TABLE IF NOT EXISTS kept (a int)")
    url = postgres.url()
    postgres.stop()

    postgres.start()

    assert ask(postgres, "SELECT count(*) FROM kept") == 0
    assert postgres.url() == url


def test_a_second_start_attaches_and_does_not_own(
    cluster: Path, postgres: EmbeddedPostgres
) -> None:
    postgres.start()
    second = make_postgres(cluster)

    second.start()
    assert not second.owned
    assert ask(second, "SELECT 1") == 1
    second.stop()

    assert ask(postgres, "SELECT 1") == 1


def test_a_killed_server_starts_again_with_its_data_at_the_same_address(
    postgres: EmbeddedPostgres,
) -> None:
    postgres.start()
    run(postgres, "DROP TABLE IF EXISTS crashed; CREATE TABLE crashed (a int)")
    url = postgres.url()
    assert postgres.process is not None
    with psycopg.connect(url) as still_open:
        postgres.process.kill()
        postgres.process.wait()

        postgres.start()

        assert ask(postgres, "SELECT count(*) FROM crashed") == 0
        assert postgres.url() == url
        still_open.close()


def test_the_server_ends_when_its_owner_is_killed_and_the_next_start_waits_for_it(
    cluster: Path, postgres: EmbeddedPostgres
) -> None:
    with owner(cluster, POSTGRES) as first:
        assert first.stdout is not None
        pid = int(first.stdout.readline())
        first.kill()

    postgres.start()

    assert start_time(pid) is None
    assert postgres.owned
    assert ask(postgres, "SELECT 1") == 1


def test_a_pid_file_that_names_another_program_does_not_stop_the_start(
    cluster: Path, postgres: EmbeddedPostgres
) -> None:
    postgres.start()
    postgres.stop()
    (cluster / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster}\n1\n5432\n")

    postgres.start()

    assert ask(postgres, "SELECT 1") == 1


def test_what_a_killed_initdb_left_is_removed(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="ponte-test-"))
    half = folder / ".postgres.new-killed"
    half.mkdir()
    (half / "PG_VERSION").write_text("18")
    server = make_postgres(folder)
    try:
        server.start()

        assert not half.exists()
        assert ask(server, "SELECT 1") == 1
    finally:
        server.stop()
        shutil.rmtree(folder)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="ponte-test-"))
    (folder / "postgres").mkdir()
    (folder / "postgres" / "precious.txt").write_text("mine")
    try:
        with pytest.raises(EngineError, match="neither empty nor a PostgreSQL cluster"):
            make_postgres(folder).start()
        assert (folder / "postgres" / "precious.txt").read_text() == "mine"
    finally:
        shutil.rmtree(folder)


def test_who_watches_over_the_server_waits_for_the_other_owner_to_end(
    cluster: Path, postgres: EmbeddedPostgres
) -> None:
    code = (
        "from pathlib import Path\n"
        "from ponte.embedded.postgres import EmbeddedPostgres\n"
        f"folder = Path({str(cluster)!r})\n"
        f"server = {POSTGRES}\n"
        "server.start(attach=False)\n"
        "print('owned', server.owned, flush=True)\n"
        "server.stop()"
    )
    with owner(cluster, POSTGRES) as first:
        assert first.stdout is not None
        first.stdout.readline()
        watcher = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        with pytest.raises(subprocess.TimeoutExpired):
            watcher.wait(1)
        first.kill()
        output, _ = watcher.communicate(timeout=20)

    assert output == "owned True\n"


# -- Redis ------------------------------------------------------------------------------------


def test_redis_listens_on_its_socket_only_and_appends_to_its_file(redis: EmbeddedRedis) -> None:
    redis.start()

    with Redis.from_url(redis.url()) as client:
        assert client.config_get("port") == {b"port": b"0"} or client.config_get("port") == {
            "port": "0"
        }
        assert client.config_get("appendonly") in ({"appendonly": "yes"}, {b"appendonly": b"yes"})


def test_redis_keeps_its_data_over_a_kill(redis: EmbeddedRedis) -> None:
    redis.start()
    with Redis.from_url(redis.url()) as client:
        client.set("kept", "yes")
        wait_until(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0, "the write")
    url = redis.url()
    assert redis.process is not None
    redis.process.kill()
    redis.process.wait()

    redis.start()

    assert redis.url() == url
    with Redis.from_url(url) as client:
        assert client.get("kept") in {"yes", b"yes"}


def test_redis_ends_when_its_owner_is_killed(cluster: Path, redis: EmbeddedRedis) -> None:
    with owner(cluster, REDIS) as first:
        assert first.stdout is not None
        pid = int(first.stdout.readline())
        first.send_signal(signal.SIGKILL)

    redis.start()

    assert start_time(pid) is None
    assert redis.owned


def test_a_second_redis_start_attaches(cluster: Path, redis: EmbeddedRedis) -> None:
    redis.start()
    second = EmbeddedRedis(cluster / "redis", cluster / "run")

    second.start()

    assert not second.owned
    assert second.url() == redis.url()


# -- sockets ----------------------------------------------------------------------------------


def test_a_socket_path_is_short_however_deep_the_data_lie(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)

    folder = socket_folder(deep)
    try:
        assert len(os.fsencode(folder / ".s.PGSQL.5432")) <= 107
        assert socket_folder(deep) == folder
    finally:
        shutil.rmtree(folder)


def test_a_socket_folder_that_others_can_enter_is_not_used(tmp_path: Path) -> None:
    first = socket_folder(tmp_path)
    first.chmod(0o777)
    second = socket_folder(tmp_path)
    try:
        assert second != first
        assert second.stat().st_mode & 0o077 == 0
    finally:
        shutil.rmtree(first)
        shutil.rmtree(second)
