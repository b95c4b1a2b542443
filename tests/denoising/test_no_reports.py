"""Nothing that astrocast loads reports its use to anybody."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BACKEND = ROOT / "src/astrocast/denoising/backend.py"

#: what loads openvino past `import_openvino`
DIRECT = re.compile(
    r"""^\s*(import|from)\s+openvino|(importorskip|import_module|__import__)\(\s*["']openvino(?!\.opset)""",
    re.MULTILINE,
)

#: stands in for the package that reports: it records that it was loaded, and sends
# nothing
SPY = "print('a report was started', flush=True)"


@pytest.fixture
def run(tmp_path: Path):
    """Return a runner of code in a fresh interpreter whose ``openvino_telemetry`` is
    the spy.
    """
    if find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    (tmp_path / "openvino_telemetry").mkdir()
    (tmp_path / "openvino_telemetry/__init__.py").write_text(SPY)
    (tmp_path / "openvino_telemetry/backend.py").write_text("backend_ga4 = None")

    def run(code: str) -> str:
        code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    return run


def test_the_spy_sees_a_plain_import(run) -> None:
    assert "a report was started" in run("import openvino")


def test_inference_with_openvino_starts_no_report_even_later(run) -> None:
    code = """
import numpy
from astrocast.denoising.engines import pick_engine
from astrocast.kernels.denoising.unet_layout import expected_maps, unet_from_arrays
arrays = []
for i, o in expected_maps(2, 2, 4):
    arrays += [numpy.ones((3, 3, i, o)), numpy.ones(o)]
engine = pick_engine("openvino", unet_from_arrays(arrays), None)
print(engine(numpy.ones((1, 4, 8, 8), "float32")).shape)
import openvino, openvino.tools.ovc
try: import openvino_telemetry
except ImportError: print("refused")
"""
    assert run(code) == "(1, 8, 8)\nrefused"


@pytest.mark.parametrize("folder", ["src", "tests", "benchmarks", "docs"])
def test_openvino_is_imported_in_one_place_only(folder: str) -> None:
    files = [
        p
        for p in (ROOT / folder).rglob("*.py")
        if p not in (BACKEND, Path(__file__).resolve())
    ]
    if folder == "src":
        # the pattern matches a call that is known to be there
        assert DIRECT.search(BACKEND.read_text(encoding="utf-8"))
    assert [str(p) for p in files if DIRECT.search(p.read_text(encoding="utf-8"))] == []
