import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent / "scripts" / "support"))
try:
    from man_pages import build
except (
    ImportError
):  # built without isolation, and there is no docutils: the manual pages are missed, nothing else
    build = None

setup(data_files=build(Path("build/man")) if build else [])
