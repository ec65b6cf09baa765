"""Values of the executed notebook 00."""

import pytest

pytestmark = [pytest.mark.notebook, pytest.mark.timeout(3600)]


def test_the_machine_has_what_is_needed(workbook_run):
    assert workbook_run.row("00_start_here", "packages_missing")["value"] == 0
    assert workbook_run.row("00_start_here", "cpu_cores")["value"] >= 1


def test_real_photographs_can_be_read(workbook_run):
    assert workbook_run.row("00_start_here", "images_readable")["value"] == 7
    assert workbook_run.row("00_start_here", "images_unreadable")["value"] == 0


def test_blind_baselines_are_printed(workbook_run):
    """Each is far from perfect: an error above zero, an accuracy below one."""
    assert workbook_run.row("00_start_here", "blind depth")["low"] > 0.1
    assert workbook_run.row("00_start_here", "blind count")["low"] > 0.1
    assert 0.2 < workbook_run.row("00_start_here", "blind semantic map")["value"] < 0.95
