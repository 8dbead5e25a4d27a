//! Durations of sessions in a mosquitto.conf.

/// Reads a duration in Mosquitto's form: a number of hours, days, weeks, months or years.
pub(super) fn time(value: &str) -> Result<u32, String> {
    let wrong = || format!("{value}: a number with h, d, w, m or y");
    let (digits, unit) = value.split_at_checked(value.len().saturating_sub(1)).ok_or_else(wrong)?;
    let hours: u32 = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        "m" => 30 * 24,
        "y" => 365 * 24,
        _ => return Err(wrong()),
    };
    let count: u32 = digits.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
    Ok(count.saturating_mul(hours).saturating_mul(3_600))
}
