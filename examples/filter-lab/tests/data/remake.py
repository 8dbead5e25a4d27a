"""Remakes every NAME.golden.csv beside it from NAME.json: python3 remake.py [NAME...]

Each case is computed by the program that README.md names, or, where there is none, by the few lines below that follow
the text named there. Nothing of ours is run. Needs:
pip install ioos_qc==3.0.0 hampel==1.0.2 tsdownsample==0.1.5.1 simple-pid==2.0.1 pandas==3.1.1 numpy==2.4.6
"""
import csv
import json
import math
import pathlib
import sys
import warnings

import numpy as np
import pandas as pd
import tsdownsample
from hampel import hampel
from ioos_qc import qartod
from simple_pid import PID

HERE = pathlib.Path(__file__).parent


def bad(quality):
    return quality >> 30 >= 2


def kind_of(value):
    """Finite, NaN, or one of the infinities."""
    return "finite" if math.isfinite(value) else repr(value)


def flags_of_qartod(c, times, values):
    t = np.array(times, dtype="datetime64[ms]")
    if c["test"] == "gross_range_test":
        flags = qartod.gross_range_test(values, c["fail_span"], c.get("suspect_span"))
    elif c["test"] == "spike_test":
        flags = qartod.spike_test(values, c.get("suspect_threshold"), c.get("fail_threshold"), c.get("method", "average"))
    elif c["test"] == "rate_of_change_test":
        flags = qartod.rate_of_change_test(values, t, c["threshold_per_s"], c.get("fail_threshold_per_s"))
    elif c["test"] == "flat_line_test":
        flags = qartod.flat_line_test(values, t, c["suspect_threshold_s"], c["fail_threshold_s"], c["tolerance"])
    elif c["test"] == "attenuated_signal_test":
        flags = qartod.attenuated_signal_test(
            values, t, c["suspect_threshold"], c["fail_threshold"], c.get("test_period_s"),
            min_obs=c.get("min_obs"), check_type=c["check_type"])
    else:
        flags = qartod.qartod_compare([np.asarray(flags_of_qartod(of, times, values)) for of in c["of"]])
    return np.ma.getdata(flags).astype(int)


def flags_of_hampel(c, values):
    flags = np.ones(len(values), int)
    if c["alignment"] == "centered":
        flags[hampel(np.array(values), c["window"], c["n_sigma"]).outlier_indices] = 4
        return flags
    rolling = pd.Series(values).rolling(c["window"])
    mad = rolling.apply(lambda window: np.median(np.abs(window - np.median(window))), raw=True)
    flags[((pd.Series(values) - rolling.median()).abs() > c["n_sigma"] * 1.4826 * mad).to_numpy()] = 4
    return flags


def downsampled(c, times, values):
    by = {"lttb": "LTTB", "minmaxlttb": "MinMaxLTTB", "m4": "M4", "minmax": "MinMax"}[c["type"]]
    more = {"minmax_ratio": c["minmax_ratio"]} if "minmax_ratio" in c else {}
    sampler = getattr(tsdownsample, by + "Downsampler")()
    kept = sampler.downsample(np.array(times, np.int64), np.array(values), n_out=c["n_out"], **more)
    return sorted(set(kept.tolist()))


def deadband(c, rows):
    """OPC UA Part 4 §7.22.1 and Part 8 §6.2; no value is compared while the status is bad."""
    low, high = c.get("range", (0, 100))
    value = c.get("value", 0)  # a trigger by status has none
    width = value if c["mode"] == "absolute" else value / 100 * (high - low)
    at_least, at_most = c.get("min_interval_ms", 0), c.get("max_interval_ms", math.inf)
    kept, last, reference = [], None, None
    for index, (time, value, quality) in enumerate(rows):
        usable = not bad(quality)
        passes = last is None or quality != last[1] or (usable and kind_of(value) != last[2])
        if not passes:
            compared = usable and c.get("trigger") != "status" and math.isfinite(value)
            changed = compared and (reference is None or abs(value - reference) > width)
            passes = (changed and time - last[0] >= at_least) or time - last[0] >= at_most
        if passes:
            kept.append(index)
            last = (time, quality, kind_of(value))
            reference = value if usable and math.isfinite(value) else reference
    return kept


def on_change(_, rows):
    same = [("nan" if math.isnan(value) else value, quality) for _, value, quality in rows]
    return [index for index in range(len(rows)) if index == 0 or same[index] != same[index - 1]]


def jump_reject(c, rows):
    """Node-RED's narrowband, the reference being the last output."""
    kept, reference = [], None
    for index, (_, value, _) in enumerate(rows):
        if math.isfinite(value) and (reference is None or abs(value - reference) <= c["max_step"]):
            kept.append(index)
            reference = value
    return kept


def swinging_door(c, rows):
    """Slope check, of good and finite values: the slopes that each allows are (v ± deviation - a) / (t - t_a)."""
    kept, (start, a), held, low, high = [0], rows[0][:2], None, 0.0, 0.0
    for index, (time, value, _) in enumerate(rows[1:], 1):
        if held is not None and not low <= (value - a) / (time - start) <= high:
            kept.append(held)
            (start, a), held = rows[held][:2], None
        below, above = ((value + d - a) / (time - start) for d in (-c["deviation"], c["deviation"]))
        low, high = (below, above) if held is None else (max(low, below), min(high, above))
        held = index
    return kept + [held] * (held is not None and c["flush_at_end"])


def alarms(c, rows):
    """EPICS `checkAlarms`: only the limit that was active last has hysteresis."""
    active, last, changes = None, None, []
    for index, (_, value, quality) in enumerate(rows):
        state = "bad"
        if not (math.isnan(value) or bad(quality)):
            reached = [name for name, sign in (("hihi", 1), ("lolo", -1), ("high", 1), ("low", -1)) if name in c
                       and value * sign >= c[name] * sign - (c["hyst"] if name == active else 0)]
            active = reached[0] if reached else None
            state = active or "normal"
        if state != last:
            changes.append((index, state))
            last = state
    return changes


def time_averages(good, width, sloped):
    """Of the line (or the steps) through the readings, over the part of each window that they cover."""
    area, covered = {}, {}
    for (start, a), (end, b) in zip(good, good[1:]):
        time = start
        while time < end:
            window = time // width
            until = min(end, (window + 1) * width)
            middle = a + (b - a) * ((time + until) / 2 - start) / (end - start) if sloped else a
            area[window] = area.get(window, 0.0) + middle * (until - time)
            covered[window] = covered.get(window, 0) + until - time
            time = until
    last = {time // width: value for time, value in good}
    return {w: area[w] / covered[w] if covered.get(w) else last[w] for w in last}


def windows(c, rows):
    good = sorted((row[:2] for row in rows if row[2] >> 30 == 0 and math.isfinite(row[1])), key=lambda row: row[0])
    series = pd.Series([value for _, value in good], pd.to_datetime([time for time, _ in good], unit="ms"))
    bins = series.resample(f"{c['width_ms']}ms", origin="epoch", closed="left", label="left")
    names = c.get("agg", ["count", "first", "last", "min", "max", "mean", "std_pop", "median"])
    columns = [[int(start.value // 10**6) for start in bins.count().index]]
    for name in names:
        if name.startswith("time_avg"):
            averages = time_averages(good, c["width_ms"], name == "time_avg_sloped")
            columns.append([averages.get(start // c["width_ms"]) for start in columns[0]])
        else:
            columns.append((bins.std(ddof=0) if name == "std_pop" else getattr(bins, name)()).tolist())
    present = bins.count().tolist()
    return ["window_start_ms", *names], [row for row, n in zip(zip(*columns), present) if n]


def outputs(c, rows):
    if "Tf" in c:
        yield from filtered_outputs(c, rows)
        return
    pid = PID(c["Kp"], c["Ki"], c["Kd"], sample_time=None, output_limits=tuple(c.get("output_limits", (None, None))),
              proportional_on_measurement=c.get("proportional_on_measurement", False),
              differential_on_measurement=c.get("derivative_on") != "error")
    for index, row in enumerate(rows):
        pid.setpoint = float(row["sp"])
        yield index, pid(float(row["pv"]), dt=c["dt_s"])


def filtered_outputs(c, rows):
    """Åström and Hägglund's discrete controller: D by backward differences or ramp equivalence, on the measurement; no limits."""
    d = integral = 0.0
    before = float(rows[0]["pv"])
    for index, row in enumerate(rows):
        pv, error = float(row["pv"]), float(row["sp"]) - float(row["pv"])
        integral += c["Ki"] * error * c["dt_s"]
        if c.get("derivative") == "zero_order_hold":
            kept = math.exp(-c["dt_s"] / c["Tf"])
            d = kept * d - (1 - kept) * c["Kd"] * (pv - before) / c["dt_s"]
        else:
            d = (c["Tf"] * d - c["Kd"] * (pv - before)) / (c["Tf"] + c["dt_s"])
        before = pv
        yield index, c["Kp"] * error + integral + d


def table(case):
    """Header and rows."""
    c = case["config"]
    with open(HERE / case["input"], newline="") as file:
        rows = list(csv.DictReader(file))
    if c["type"] == "pid":
        return ["idx", "output"], outputs(c, rows)
    rows = [(int(row["ts_ms"]), float(row["value"]), int(row["quality"])) for row in rows]
    times, values = [row[0] for row in rows], [row[1] for row in rows]
    if c["type"] in ("qartod", "hampel"):
        flags = flags_of_qartod(c, times, values) if c["type"] == "qartod" else flags_of_hampel(c, values)
        return ["idx", "flag"], enumerate(flags)
    if c["type"] == "limit_alarm":
        return ["idx", "state"], alarms(c, rows)
    if c["type"] == "window":
        return windows(c, rows)
    if c["type"] in ("lttb", "minmaxlttb", "m4", "minmax"):
        kept = downsampled(c, times, values)
    else:
        kept = globals()[c["type"]](c, rows)
    return ["idx"], [(index,) for index in kept]


def main():
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    for name in sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.json")):
        header, rows = table(json.loads((HERE / f"{name}.json").read_text()))
        lines = [",".join(header), *(",".join(map(str, row)) for row in rows)]
        (HERE / f"{name}.golden.csv").write_text("\n".join(lines) + "\n")
        print(f"{name}: {len(lines) - 1} rows")


main()
