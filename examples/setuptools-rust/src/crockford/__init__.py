"""Numbers and UUIDs in Crockford's Base32.

Short, safe to read out on the telephone, and with a check symbol if you like.

>>> encode(1234567, check=True)
'15NM7S'
>>> decode("15nm-7s", check=True)
1234567
"""

from uuid import UUID

from ._native import decode, encode

__all__ = ["decode", "decode_uuid", "encode", "encode_uuid"]
__version__ = "0.1.0"


def encode_uuid(uuid: UUID, *, check: bool = False) -> str:
    """Write a UUID with 26 symbols (27 with a check symbol)."""
    return encode(uuid.int, width=26, check=check)


def decode_uuid(text: str, *, check: bool = False) -> UUID:
    """Read what encode_uuid has written."""
    return UUID(int=decode(text, check=check))
