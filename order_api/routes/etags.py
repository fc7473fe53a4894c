"""Entity tags: a client that has the current version is told so, and gets no body (RFC 9110, 8.8.3 and 13.1.2)."""

import hashlib

from fastapi import Response, status


def tagged(body: bytes, media_type: str, if_none_match: str | None, headers: dict[str, str]) -> Response:
    """Answer with the body and its tag, or with 304 to a client that named the tag; a weak one will do."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    named = {each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")}
    if named & {tag, "*"}:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"ETag": tag, **headers})
    return Response(body, media_type=media_type, headers={"ETag": tag, **headers})
