"""Look for traces of a person in every column of every table, in Redis and in files."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import psycopg
import redis
from psycopg import sql


def needles(texts: Sequence[str]) -> tuple[bytes, ...]:
    """How the texts may be written: as they are, and as base64 at any of its three offsets."""
    found: list[bytes] = []
    for text in texts:
        plain = text.encode()
        found.append(plain)
        for offset in range(3):
            coded = base64.b64encode(b"\0" * offset + plain).decode()
            # The first and last characters also depend on the neighbours.
            inner = coded[(offset * 8 + 5) // 6 : (offset + len(plain)) * 8 // 6]
            if len(inner) >= 8:
                found.append(inner.encode())
    return tuple(found)


def in_database(url: str, texts: Sequence[str]) -> list[str]:
    """`table.column: text` for every column of every table in which a text is found."""
    hits = []
    with psycopg.connect(url, autocommit=True) as line:
        columns = line.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "JOIN information_schema.tables USING (table_schema, table_name) "
            "WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        for table, column, kind in columns:
            value = sql.Identifier(column)
            if kind == "bytea":
                value_sql = sql.SQL("{}").format(value)
            else:
                value_sql = sql.SQL("convert_to(lower({}::text), 'UTF8')").format(value)
            for needle in needles(texts):
                wanted = needle if kind == "bytea" else needle.lower()
                query = sql.SQL("SELECT count(*) FROM {} WHERE position(%s::bytea IN {}) > 0")
                row = line.execute(
                    query.format(sql.Identifier(table), value_sql), (wanted,)
                ).fetchone()
                if row and row[0]:
                    hits.append(f"{table}.{column}: {needle.decode()}")
    return hits


def in_redis(url: str, texts: Sequence[str]) -> list[str]:
    """Keys in which a text is found, in their name or in the value as Redis itself dumps it."""
    hits = []
    with redis.Redis.from_url(url) as client:
        client.config_set("list-compress-depth", 0)
        client.config_set("rdbcompression", "no")
        for key in client.scan_iter():
            whole = key + (client.dump(key) or b"")
            hits += [key.decode() for needle in needles(texts) if needle in whole]
    return hits


def in_files(folder: Path, texts: Sequence[str]) -> list[str]:
    """Files in which a text is found."""
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for needle in needles(texts)
        if needle in path.read_bytes()
    ]
