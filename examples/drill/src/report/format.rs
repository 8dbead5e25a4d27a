//! Numbers and texts for people.

use edge_page::count;

/// Returns seconds without the unit, such as `0.34`, `8.3` or `142`.
pub(super) fn seconds(ms: u64) -> String {
    let s = ms as f64 / 1000.0;
    match ms {
        0..2_000 => format!("{s:.2}"),
        2_000..100_000 => format!("{s:.1}"),
        _ => format!("{s:.0}"),
    }
}

pub(super) fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{} B", count(n)),
        10_000..10_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_three_digits_at_most() {
        assert_eq!([340, 8_340, 142_000].map(seconds), ["0.34", "8.3", "142"]);
        assert_eq!([999, 12_345, 12_345_678].map(bytes), ["999 B", "12.3 kB", "12.3 MB"]);
    }
}
