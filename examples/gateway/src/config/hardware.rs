//! `[hardware]`: figures of the machine, used only by the predictions of `check`.

use super::Findings;
use super::section::Section;

/// Flash memory of the machine, and the rate of its link to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hardware {
    pub(crate) flash_bytes: u64,
    /// Number of times that each flash cell may be written.
    pub(crate) flash_cycles: u64,
    /// Rate of the link to the hub in bytes per second. `None`: not configured.
    pub(crate) link_bytes_per_s: Option<u64>,
}

pub(super) fn hardware(section: &mut Section<'_>, findings: &mut Findings) -> Hardware {
    Hardware {
        flash_bytes: section.size_in_force("flash", findings),
        flash_cycles: section.integer_in_force("flash_cycles", findings),
        link_bytes_per_s: section.parsed("link_rate", findings, bits_per_s).map(|rate| rate.value / 8),
    }
}

/// Reads a rate such as `"64kbit/s"`, in decimal units.
fn bits_per_s(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, f64); 4] = [("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9), ("bit/s", 1.0)];
    let found = UNITS.iter().find_map(|(unit, scale)| Some((text.trim().strip_suffix(unit)?.trim(), scale)));
    let (number, scale) = found.ok_or("a rate needs a unit: bit/s, kbit/s, Mbit/s or Gbit/s")?;
    let number: f64 = number.parse().map_err(|_| format!("`{text}` does not start with a number"))?;
    let bits = number * scale;
    if !(1_000.0..=1e12).contains(&bits) {
        return Err("out of range: 1 kbit/s to 1000 Gbit/s".to_owned());
    }
    Ok(bits as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_in_the_units_of_lines() {
        for (text, bits) in [
            ("64kbit/s", 64_000),
            ("1.5 Mbit/s", 1_500_000),
            ("9600bit/s", 9_600),
            ("1Gbit/s", 1_000_000_000),
        ] {
            assert_eq!(bits_per_s(text), Ok(bits), "{text}");
        }
        for wrong in ["64", "64 kB/s", "fast", "-1kbit/s", "1bit/s", "NaN kbit/s", "kbit/s"] {
            assert!(bits_per_s(wrong).is_err(), "{wrong}");
        }
    }
}
