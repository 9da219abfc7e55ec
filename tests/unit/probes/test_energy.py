"""Energy counters as Linux shows them."""

import sys
import types
from typing import ClassVar

import pytest

from embedgrad.runtime.energy import Meter


def package(folder, name, used, most=1_000_000):
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "max_energy_range_uj").write_text(f"{most}\n")
    (path / "energy_uj").write_text(f"{used}\n")
    return path


def test_packages_are_summed_and_what_lies_inside_them_is_not(tmp_path):
    one, two = package(tmp_path, "intel-rapl:0", 100), package(tmp_path, "intel-rapl:1", 0)
    inside = package(tmp_path, "intel-rapl:0:0", 5)
    meter = Meter(tmp_path)
    for path, used in ((one, 500_100), (two, 700_000), (inside, 400_000)):
        (path / "energy_uj").write_text(str(used))
    assert meter.row() == {"energy_cpu_joules": 1.2}
    meter.close()


def test_a_counter_that_starts_again_is_followed(tmp_path):
    path = package(tmp_path, "intel-rapl:0", 900_000, most=999_999)
    meter = Meter(tmp_path)
    for used in (200_000, 800_000, 300_000, 900_000):  # it has started again before the first and the third
        (path / "energy_uj").write_text(str(used))
        meter.look()
    (path / "energy_uj").write_text("not a number")
    assert meter.row() == {"energy_cpu_joules": 0.3 + 0.6 + 0.5 + 0.6}
    meter.close()


def test_a_machine_that_tells_nothing_gives_nothing(tmp_path):
    locked = package(tmp_path, "intel-rapl:0", 5)
    (locked / "energy_uj").unlink()
    assert Meter(tmp_path).row() == {}
    assert Meter(tmp_path / "none").row() == {}


class Nvml(types.ModuleType):
    """What the meter asks of ``pynvml`` (package nvidia-ml-py), with counters of ours: no GPU is at hand. The third is too old."""

    class NVMLError(Exception):
        """As the real one's errors."""

    used: ClassVar = [5_000, 70_000]

    def nvmlInit(self):
        """There is a driver."""

    def nvmlDeviceGetCount(self):
        return 3

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetUUID(self, handle):
        return f"GPU-{handle}"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if handle == 2:
            raise self.NVMLError("Not Supported")
        return self.used[handle]


@pytest.mark.parametrize(("visible", "joules"), [("0", 1.5), ("GPU-1", 20.0), ("0,1", 21.5), ("2", None), ("", None)])
def test_the_gpus_that_a_job_may_use_are_summed(visible, joules, tmp_path, monkeypatch):
    nvml = Nvml("pynvml")
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(nvml, "used", [5_000, 70_000], raising=False)
    meter = Meter(tmp_path)
    nvml.used = [6_500, 90_000]  # millijoules
    assert meter.row() == ({} if joules is None else {"energy_gpu_joules": joules})
    meter.close()


def test_a_library_without_a_driver_counts_nothing(tmp_path, monkeypatch):
    nvml = Nvml("pynvml")

    def fails():
        raise nvml.NVMLError("Driver Not Loaded")

    nvml.nvmlInit = fails
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    assert Meter(tmp_path).row() == {}
