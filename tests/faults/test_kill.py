import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_killed_runs_end_in_the_bytes_of_the_uninterrupted_one():
    command = [sys.executable, str(Path(__file__).with_name("kill.py")), "--times", "8"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr
    assert "8 kills, every run ended in the same bytes" in result.stdout
