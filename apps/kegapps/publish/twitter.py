"""Announces drinks on X, formerly Twitter, under the name that the program had in 2010.

  kegbot_twitter.py --urls_file=FILE

A line of FILE is twitter://CONSUMER_KEY/CONSUMER_SECRET/ACCESS_TOKEN/ACCESS_SECRET, or a webhook (jsons://, forms://,
xmls://) that passes the message on. X takes money for each post. All else is as in publisher.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from kegapps.publish import networks, program

_POST_CHARS = 280


def main(argv: Sequence[str]) -> int:
    """Run kegbot_twitter; the exit status."""
    network = program.Network(
        name="kegbot_twitter",
        adapt=networks.twitter,
        usage=__doc__,
        max_length=_POST_CHARS,
        more=" (drink {drink})",  # X refuses a post that says the same as one of the hours before
    )
    return program.main(argv, network)
