"""Energy counters as Linux shows them."""

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
