"""What fb_publisher and kegbot_twitter, the programs of 2010, let through: their one network, and webhooks.

Knows the URLs of Facebook's Pages and of X. Must not know files or flags. What each of them still offers is told in
docs/publisher.rst.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import Final

WEBHOOKS: Final = ("form", "forms", "json", "jsons", "xml", "xmls")
"""Apprise's own: to a program of yours, or a service that passes it on."""

GRAPH_API: Final = "graph.facebook.com"
_PAGE: Final = re.compile(r"facebook://([0-9]{1,32})/([A-Za-z0-9_|-]{16,512})/?", re.ASCII | re.IGNORECASE)


def facebook(scheme: str, url: str, *, host: str = GRAPH_API, form: str = "forms") -> str:
    """The URL for Apprise: `facebook://PAGE_ID/PAGE_ACCESS_TOKEN` is made a form post to that Page's feed.

    Raises ValueError for other networks. Source: Meta's Pages API, Posts: `POST /PAGE_ID/feed` with `message` and
    `access_token`. The other three fields that Apprise's forms have are left out. Where it goes is an argument for
    the tests' sake.
    """
    if scheme in WEBHOOKS:
        return url
    if scheme != "facebook":
        raise ValueError(f"{scheme}:// is not Facebook; publisher.py serves every network")
    page = _PAGE.fullmatch(url)
    if not page:
        raise ValueError("expected facebook://PAGE_ID/PAGE_ACCESS_TOKEN")
    fields = f":access_token={urllib.parse.quote(page[2], safe='')}&:version=&:title=&:type="
    return f"{form}://{host}/{page[1]}/feed?{fields}"


def twitter(scheme: str, url: str) -> str:
    """The URL for Apprise: a post for everybody, not a direct message to oneself, unless `mode=` says otherwise.

    Raises ValueError for other networks.
    """
    if scheme in WEBHOOKS:
        return url
    if scheme not in ("x", "twitter", "tweet"):
        raise ValueError(f"{scheme}:// is not X; publisher.py serves every network")
    rest, _, query = url.partition("://")[2].partition("?")
    if any(key.lower() == "mode" for key, _ in urllib.parse.parse_qsl(query)):
        return url
    return f"twitter://{rest}?{query + '&' if query else ''}mode=tweet"
