"""URIs: local or remote, which store, and what of them is secret. Pure."""

from __future__ import annotations

import re
import urllib.parse

from clipping.errors import UsageError

__all__ = ["browser_address", "is_remote", "is_web", "shown", "split_secret"]

# Scheme to the extra of this package that brings what fsspec needs for it.
EXTRAS = {
    "s3": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "az": "azure",
    "abfs": "azure",
    "abfss": "azure",
    "http": "",
    "https": "",
}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Query parameters that sign a request (AWS, Google, CloudFront, Azure) and change each time.
_SIGNING = re.compile(
    r"(?i:x-amz-.*|x-goog-.*|signature|expires|policy|key-pair-id|awsaccesskeyid|googleaccessid"
    r"|sig|s[epvrti]|spr|sks|skt|ske|skv|skoid|sktid|sip|token|access_token|auth|hdnts|hdnea)"
)


def is_remote(uri: str) -> bool:
    """Whether this names an object rather than a local path. Raises UsageError.

    Raised for schemes that cannot be read, so that they are not taken for local names.
    """
    scheme = scheme_of(uri)
    if scheme is None or scheme == "file":
        return False
    if scheme not in EXTRAS:
        known = ", ".join(f"{s}://" for s in EXTRAS)
        raise UsageError(f"{shown(uri)}: cannot read {scheme}://; known are local paths, {known}")
    return True


def is_web(uri: str) -> bool:
    """Whether this is a plain web address, which cannot be listed."""
    return scheme_of(uri) in ("http", "https")


def scheme_of(uri: str) -> str | None:
    found = _SCHEME.match(uri)
    return found[1].lower() if found else None


def split_secret(uri: str) -> tuple[str, str]:
    """A web address without what signs it, and the full address if that differs.

    Credentials and signatures let whoever sees them in; they do not tell which file it is.
    """
    if not is_web(uri):
        return uri, ""
    parts = urllib.parse.urlsplit(uri)
    pairs = parts.query.split("&") if parts.query else []
    kept = [p for p in pairs if not _SIGNING.fullmatch(p.partition("=")[0])]
    host = parts.netloc.rpartition("@")[2]
    plain = urllib.parse.urlunsplit((parts.scheme, host, parts.path, "&".join(kept), ""))
    return plain, uri if plain != urllib.parse.urldefrag(uri)[0] else ""


def shown(uri: str) -> str:
    """A URI as it may be shown: without credentials and signatures."""
    return split_secret(uri)[0]


def browser_address(uri: str, *, is_folder: bool) -> str | None:
    """Where a browser shows an object or a prefix: in its store's console; None if nowhere.

    A local path has none: a page from a server may not lead to a file. Nor has Azure, whose
    console wants to know the subscription.
    """
    scheme = scheme_of(uri)
    bucket, _, name = uri.partition("://")[2].strip("/").partition("/")
    quoted = urllib.parse.quote(name)
    if is_web(uri):
        return shown(uri)
    if scheme == "s3":
        place = "buckets" if is_folder else "object"
        prefix = f"{quoted}/" if is_folder and name else quoted
        return f"https://s3.console.aws.amazon.com/s3/{place}/{bucket}?prefix={prefix}"
    if scheme in ("gs", "gcs"):
        place = "browser" if is_folder else "browser/_details"
        return f"https://console.cloud.google.com/storage/{place}/{bucket}/{quoted}".rstrip("/")
    return None
