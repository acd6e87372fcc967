"""The region that a queue's URL names. boto3 does not look there, and is not imported: that is slow."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

#: AWS's own hosts, interface endpoints and the older form, each of which contains the region.
_REGION = re.compile(
    r"(?:^|\.)sqs(?:-fips)?\.(?P<region>[a-z]{2,}(?:-[a-z]+)+-\d+)\."
    r"|^(?P<older>[a-z]{2,}(?:-[a-z]+)+-\d+)\.queue\."
)

#: The oldest form contains no region: it means this one.
_OLDEST_HOST, _OLDEST_REGION = "queue.amazonaws.com", "us-east-1"


def region_in(queue_url: str) -> str | None:
    """Return the region that a queue's URL names; None if it names none."""
    host = urlsplit(queue_url).hostname or ""
    if host == _OLDEST_HOST:
        return _OLDEST_REGION
    found = _REGION.search(host)
    return (found["region"] or found["older"]) if found else None
