"""A CRC per row: a database's own checks look at the structure of a page, if that, and not at a payload's bytes."""

import zlib
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec

# What a database can answer for a column, damaged or not: the checksum must be able to look at all of it.
Column: TypeAlias = str | bytes | int | float | None

_encoder = msgspec.msgpack.Encoder()


def checksum(columns: Sequence[Column]) -> int:
    """The CRC-32 over the columns and their types."""
    return zlib.crc32(_encoder.encode(columns))


def is_intact(row: Iterable[Column], crc: object) -> bool:
    return checksum(tuple(row)) == crc
