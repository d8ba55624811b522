"""Announces drinks on a Facebook Page, under the name that the program had in 2010.

  fb_publisher.py --urls_file=FILE

A line of FILE is facebook://PAGE_ID/PAGE_ACCESS_TOKEN, or a webhook (jsons://, forms://, xmls://) that passes the
message on. Facebook lets no program post as a person any more. All else is as in publisher.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from kegapps.publish import networks, program


def main(argv: Sequence[str]) -> int:
    """Run fb_publisher; the exit status."""
    return program.main(argv, program.Network(name="fb_publisher", adapt=networks.facebook, usage=__doc__))
