"""A real kernel over a year of which nearly every session is missing: little is said, and pictures show."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import pytest

from flatfiles_assets_tests.platform import Platform

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CELLS = (
    "from flatfiles_assets import DataIntegration\nintegration = DataIntegration()",
    'prices = integration.load_prices(["AAPL", "MSFT"], "2023-01-03", "2023-12-29")\nprices',
    "data = integration.get_data_for_algorithm(\n"
    '    "momentum", ["AAPL", "MSFT"], "2023-01-03", "2023-12-29", ensure=False\n)\ndata',
    'data["metadata"]',
    'integration.coverage(["AAPL"], "2023-01-03", "2023-12-29")',
    'data.plot("prices")',
)
_MOST_CHARACTERS = 8_000


def test_a_year_with_246_missing_sessions_fits_into_the_cells_of_a_notebook(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FLATFILES_MAX_RETRIES", "0")
    for day in ("2023-06-01", "2023-06-02", "2023-06-05", "2023-06-06"):
        platform.put(day)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])

    nbclient.NotebookClient(notebook, timeout=None, kernel_name="python3").execute()

    shown = [cell.outputs for cell in notebook.cells]
    texts = ["".join(map(_text, outputs)) for outputs in shown]
    for source, text, outputs in zip(CELLS, texts, shown, strict=True):
        assert len(text) < _MOST_CHARACTERS, f"{source}\n{text[:2000]}"
        warned = "".join(output["text"] for output in outputs if output.get("name") == "stderr")
        said = [line for line in warned.splitlines() if "Warning: " in line]
        assert len(set(said)) == len(said) <= 3, warned
        assert "ipywidgets" not in text, text
    assert any("246" in text for text in texts), texts
    (picture,) = [output for output in shown[-1] if "image/png" in output.get("data", {})]
    assert picture


def _text(output: nbformat.NotebookNode) -> str:
    """What a cell shows as text; a page of HTML is as long as what it says."""
    found = output.get("data", {})
    return output.get("text", "") + found.get("text/plain", "") + found.get("text/html", "")
