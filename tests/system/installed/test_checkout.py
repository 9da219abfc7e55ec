"""What git keeps."""

import re
import subprocess

from places import ROOT


def test_the_names_of_kept_files_are_plain():
    """A stray save, such as the leftover of an editor's command, shows by its name."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = listed.stdout.rstrip("\0").split("\0")
    assert "Snakefile" in names
    assert [name for name in names if not re.fullmatch(r"[A-Za-z0-9._/-]+", name)] == []
