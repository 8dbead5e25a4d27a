//! Quantities as text: rounded down, in at most two units. Pure.

/// Returns a duration such as `2 h 13 min` or `45 s`.
pub(crate) fn duration(seconds: u64) -> String {
    let two = |major: u64, unit: &str, minor: u64, small: &str| match minor {
        0 => format!("{major} {unit}"),
        minor => format!("{major} {unit} {minor} {small}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 => two(seconds / 60, "min", seconds % 60, "s"),
        600..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// Returns a size such as `4.5 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64 / 1_024.0;
    for unit in UNITS {
        if value < 1_000.0 || unit == "TiB" {
            return if bytes < 1_024 { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1_024.0;
    }
    format!("{bytes} B")
}

/// Returns a rate per second, with fewer digits the larger it is: `0`, `0.03`, `4.2`, `512`.
pub(crate) fn rate(per_s: f64) -> String {
    match per_s {
        rate if rate <= 0.0 || !rate.is_finite() => "0".to_owned(),
        rate if rate < 0.095 => format!("{rate:.2}"),
        rate if rate < 99.5 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

/// Returns a count with its noun, such as `1 message` or `2 messages`, with digits grouped by three.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", edge_page::count(count), if count == 1 { "" } else { "s" })
}

/// Returns a count with its noun and its verb: `1 message was`, or `2 messages were`.
pub(crate) fn counted_were(count: u64, thing: &str) -> String {
    format!("{} {}", counted(count, thing), if count == 1 { "was" } else { "were" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_two_units_at_most() {
        let all = [0, 59, 60, 61, 599, 600, 3_599, 3_600, 7_980, 86_400, 180_000];
        assert_eq!(
            all.map(duration),
            [
                "0 s",
                "59 s",
                "1 min",
                "1 min 1 s",
                "9 min 59 s",
                "10 min",
                "59 min",
                "1 h",
                "2 h 13 min",
                "1 d",
                "2 d 2 h"
            ]
        );
        assert_eq!(
            [0, 1_023, 1_024, 1_023_999, 5 << 20].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1000.0 KiB", "5.0 MiB"]
        );
        assert_eq!(
            [0.0, f64::NAN, 0.034, 4.21, 99.44, 512.3].map(rate),
            ["0", "0", "0.03", "4.2", "99.4", "512"]
        );
        assert_eq!(counted(1, "message"), "1 message");
        assert_eq!(counted(12_408, "message"), "12\u{202f}408 messages");
    }
}
