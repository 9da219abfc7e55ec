"""``report.md``: every part with its figures, and what it did not come to."""

from collections.abc import Sequence

# Figures that are large numbers of a unit: key, its heading, what it is divided by.
UNITS = {
    "copy_bytes_per_s": ("copy, GB/s", 1e9),
    "bfloat16_flops_per_s": ("bf16 product, TFLOP/s", 1e12),
    "float32_flops_per_s": ("fp32 product, TFLOP/s", 1e12),
    "memory_bytes": ("memory, GB", 1e9),
    "peak_bytes": ("peak, GB", 1e9),
    "forecast_bytes": ("forecast, GB", 1e9),
    "step_seconds": ("a step, ms", 1e-3),
}
TROUBLE = ("error", "cut")


def report(rows: Sequence[dict], parts: Sequence[str]) -> str:
    """Markdown: a table for each part that has figures, and a line for each that has not."""
    checks = [row["ok"] for row in rows if "ok" in row]
    errors, cuts = (sum(key in row for row in rows) for key in TROUBLE)
    lines = ["# On a GPU", "", f"{sum(checks)} of {len(checks)} checks passed; {errors} errors, {cuts} cuts.", ""]
    for part in parts:
        own = [row for row in rows if row["part"] == part]
        lines += [f"## {part}", ""]
        figures = [row for row in own if not any(key in row for key in TROUBLE)]
        lines += table(figures) if figures else ["Nothing yet."]
        trouble = [row for row in own if any(key in row for key in TROUBLE)]
        lines += [
            "",
            *(f"- {named(row)}: {next(f'{key}, {row[key]}' for key in TROUBLE if key in row)}" for row in trouble),
        ]
        lines.append("")
    return "\n".join(lines)


def table(rows: Sequence[dict]) -> list[str]:
    """Rows with the same keys together."""
    lines: list[str] = []
    keys: tuple[str, ...] = ()
    for row in rows:
        own = tuple(key for key in row if key != "part")
        if own != keys:
            keys = own
            heads = [UNITS.get(key, (key.replace("_", " "), 1))[0] for key in keys]
            lines += ["", "| " + " | ".join(heads) + " |", "|" + "---|" * len(keys)]
        lines.append("| " + " | ".join(shown(key, row[key]) for key in keys) + " |")
    return lines[1:]


def shown(key: str, value: object) -> str:
    """A figure for people: three digits, or as it is."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "**no**", None: ""}[value]
    if isinstance(value, (int, float)):
        value = value / UNITS[key][1] if key in UNITS else value
        return f"{value:,}" if isinstance(value, int) else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    text = "; ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def named(row: dict) -> str:
    """Where a row belongs."""
    return ", ".join(str(row[key]) for key in ("name", "shape", "workload", "rows", "side") if key in row)
