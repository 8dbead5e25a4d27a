//! Durations and sizes with units in text: `"1s"`, `"64MiB"`. A number without a unit is refused.

use std::time::Duration;

/// Reads a duration such as `"200ms"`, `"1.5 s"`, `"7d"`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        "" => return Err(format!("a duration needs a unit: write \"{number}s\" or \"{number}ms\"")),
        _ => return Err(format!("unknown unit `{unit}`: use ms, s, m, h or d")),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "out of range".to_owned())
}

/// Reads a size in bytes such as `"64MiB"`, `"1.5 GiB"`, `"500kB"`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1_024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        "" => return Err(format!("a size needs a unit: write \"{number}MiB\" or \"{number}B\"")),
        _ => return Err(format!("unknown unit `{unit}`: use B, KiB, MiB, GiB, kB, MB or GB")),
    };
    let product = number * bytes;
    if product > 9e15 {
        return Err("out of range".to_owned());
    }
    // Bounded above by the check, below by `split`.
    Ok(product as u64)
}

fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.parse::<f64>().map_err(|_| format!("`{text}` does not start with a number"))?;
    Ok((number, unit.trim()))
}

/// Returns a size for people, in the largest unit that keeps the number above one.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [(&str, f64); 3] = [("GiB", 1_073_741_824.0), ("MiB", 1_048_576.0), ("KiB", 1_024.0)];
    let value = bytes as f64;
    match UNITS.iter().find(|(_, scale)| value >= *scale) {
        Some((unit, scale)) => format!("{:.1} {unit}", value / scale),
        None => format!("{bytes} B"),
    }
}

/// Returns a duration for people, such as `3 d 4 h`, `2 h 5 min` or `1.5 s`.
pub(crate) fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{} s", duration.as_millis() as f64 / 1_000.0),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_unit_and_only_with_it() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1.5 s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        assert!(duration("5").unwrap_err().contains("unit"));
        assert!(duration("-1s").is_err() && duration("s").is_err() && duration("1e400s").is_err());
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("500 kB"), Ok(500_000));
        assert!(size("64").unwrap_err().contains("unit"));
        assert!(size("99999999999999GiB").is_err());
    }

    #[test]
    fn quantities_are_said_in_words() {
        assert_eq!(human_bytes(300), "300 B");
        assert_eq!(human_bytes(64 << 20), "64.0 MiB");
        assert_eq!(human_duration(Duration::from_millis(1_500)), "1.5 s");
        assert_eq!(human_duration(Duration::from_secs(90_000)), "1 d 1 h");
    }
}
