//! Budget: the disk and RAM that a configuration takes, and the largest one that fits.

use super::Config;
use crate::error::ConfigError;
use crate::model::ram_bound;
use crate::row::ROW_OVERHEAD_BYTES;
use crate::store::Footprint;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// Number of consumers that a budget allows for.
const CONSUMERS: u32 = 2;
/// Largest and smallest `row_bytes_max` that a budget tries, from roomy to tight.
const ROW_BYTES_MAX: u64 = 256 * KIB;
const ROW_BYTES_MIN: u64 = 4 * KIB;
/// Bounds of `max_unwritten_bytes` in a budget: the least useful value, and the largest one that has an effect.
const UNWRITTEN_MIN: u64 = 64 * KIB;
const UNWRITTEN_MAX: u64 = 64 * MIB;
/// Least byte limit of the last lane, in rows of the largest size.
const ROWS_MIN: u64 = 32;
/// Segment sizes that are tried, the best first: small segments cost RAM by their number, large ones for the index of the one being read.
const SEGMENTS: [u64; 8] = [MIB, 512 * KIB, 2 * MIB, 256 * KIB, 4 * MIB, 8 * MIB, 16 * MIB, 32 * MIB];

impl Config {
    /// The largest queue with the default two lanes and two consumers whose file fits into `disk_bytes` and whose memory fits
    /// into `ram_bytes`. Sets `max_bytes`, `row_bytes_max`, `segment_bytes`, `max_unwritten_bytes` and `commit_bytes`, and lifts
    /// `max_messages`. The file is smaller than `disk_bytes` where the bookkeeping of a larger one would take more RAM than
    /// `ram_bytes`. Change other settings afterwards; after a change of limits or lanes check [`Config::disk_bytes`] and
    /// [`Config::ram_bytes`] again.
    ///
    /// The disk must hold more at times: a copy of the file while an open with changed limits rebuilds it, and damaged parts that
    /// are set aside in `bad/`.
    ///
    /// # Errors
    /// `disk_bytes` or `ram_bytes` is too small for any queue; names the minimum.
    pub fn for_budget(disk_bytes: u64, ram_bytes: u64) -> Result<Config, ConfigError> {
        for row_bytes in row_sizes() {
            for segment in SEGMENTS {
                let Some(config) = smallest(row_bytes, segment).grown_to(disk_bytes, u64::MAX) else {
                    continue;
                };
                let least = config.ram_bytes(CONSUMERS);
                if least <= ram_bytes {
                    return Ok(config.with_ram(ram_bytes - least));
                }
            }
        }
        // The bookkeeping of such a file does not fit into the RAM: a smaller one.
        for row_bytes in row_sizes() {
            let files =
                SEGMENTS.iter().filter_map(|size| smallest(row_bytes, *size).grown_to(disk_bytes, ram_bytes));
            if let Some(config) = files.max_by_key(|config| config.max_bytes) {
                let least = config.ram_bytes(CONSUMERS);
                return Ok(config.with_ram(ram_bytes.saturating_sub(least)));
            }
        }
        let least = row_sizes().flat_map(|row| SEGMENTS.iter().map(move |size| smallest(row, *size)));
        match least.filter(|config| config.disk_bytes() <= disk_bytes).map(|c| c.ram_bytes(CONSUMERS)).min() {
            None => Err(too_small("disk_bytes", disk_bytes, smallest(ROW_BYTES_MIN, MIB).disk_bytes())),
            Some(ram_min) => Err(too_small("ram_bytes", ram_bytes, ram_min)),
        }
    }

    /// Returns the bytes of the ring store's file, which are reserved when the queue is opened: two pages and, for each lane,
    /// twice its byte limit and four segments.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        Footprint::of(&self.store_options(0, 1)).file_bytes
    }

    /// Returns the most bytes of RAM that the queue takes with the ring store and so many consumers, rows leased by the
    /// application not counted. An upper bound, the sum of what each part may keep: measured peaks are a tenth to three quarters
    /// of it, least where limits are small and few rows wait for the store.
    #[must_use]
    pub fn ram_bytes(&self, consumers: u32) -> u64 {
        let (lanes, row) = (u64::from(self.lanes), self.row_bytes_max as u64);
        let store = Footprint::of(&self.store_options(0, 1)).ram_bytes;
        let consumers = (u64::from(consumers) * lanes).saturating_mul(ram_bound::per_consumer(row));
        let unwritten = self.max_unwritten_bytes.max(row);
        [lanes * ram_bound::PER_LANE, consumers, unwritten].into_iter().fold(store, u64::saturating_add)
    }

    /// Returns the configuration with the largest byte limit whose file and RAM fit; `None` when not even this configuration
    /// fits.
    fn grown_to(self, disk_bytes: u64, ram_bytes: u64) -> Option<Config> {
        let fits = |config: &Config| {
            let is_small = config.disk_bytes() <= disk_bytes && config.ram_bytes(CONSUMERS) <= ram_bytes;
            is_small && config.validate().is_ok()
        };
        if !fits(&self) {
            return None;
        }
        // The file grows in steps of segments, whose size follows from the limit too: halving steps end within a few
        // segments of the largest.
        let (mut config, mut step) = (self, disk_bytes / 2);
        while step >= KIB {
            let larger = config.clone().max_bytes(config.max_bytes.saturating_add(step));
            if fits(&larger) {
                config = larger;
            }
            step /= 2;
        }
        Some(config)
    }

    /// Uses the `left` bytes of RAM for rows that wait for the store, as far as that has an effect: up to 64 MiB or the lane's byte limit.
    fn with_ram(self, left: u64) -> Config {
        let useful = UNWRITTEN_MAX.min(self.max_bytes).max(self.max_unwritten_bytes);
        let bytes = self.max_unwritten_bytes.saturating_add(left).min(useful);
        let commit = (256 * KIB).min(bytes / 4);
        self.max_unwritten_bytes(bytes).commit_bytes(commit)
    }
}

/// Sizes of the largest row that are tried, the best first.
fn row_sizes() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(ROW_BYTES_MAX), |bytes| Some(bytes / 2))
        .take_while(|bytes| *bytes >= ROW_BYTES_MIN)
}

fn smallest(row_bytes: u64, segment_bytes: u64) -> Config {
    Config::default()
        .max_messages(u64::MAX / 4)
        .row_bytes_max(usize::try_from(row_bytes).unwrap_or(usize::MAX))
        .segment_bytes(segment_bytes)
        .max_bytes(ROWS_MIN * (row_bytes + ROW_OVERHEAD_BYTES))
        .max_unwritten_bytes(UNWRITTEN_MIN.max(2 * row_bytes))
}

fn too_small(key: &'static str, value: u64, min: u64) -> ConfigError {
    ConfigError { key, problem: format!("{value} is below {min}, the least that a queue needs") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LaneConfig;
    use crate::row::Lane;

    #[test]
    fn a_budget_that_is_too_small_is_told_the_least() {
        for (disk, ram) in [(0, u64::MAX), (512 * KIB, 64 * MIB), (64 * MIB, MIB)] {
            let error = Config::for_budget(disk, ram).unwrap_err();
            let words: Vec<&str> = error.problem.split([' ', ',']).collect();
            let least: u64 = words[3].parse().unwrap();
            let (disk, ram) = if error.key == "disk_bytes" { (least, ram) } else { (disk, least) };
            Config::for_budget(disk, ram).unwrap();
            let below = if error.key == "disk_bytes" { (least - 1, ram) } else { (disk, least - 1) };
            assert_eq!(Config::for_budget(below.0, below.1).unwrap_err().key, error.key);
        }
    }

    /// It was: refused, although a smaller file is a queue.
    #[test]
    fn a_disk_too_large_for_the_ram_is_used_in_part() {
        for ram in [4 * MIB, 16 * MIB, 64 * MIB] {
            let config = Config::for_budget(1 << 40, ram).unwrap();
            // Of 32 bits, half: pointers take so little that a larger row just fits, for which the file is smaller.
            let least = u64::from(usize::BITS) * ram;
            assert!(config.ram_bytes(CONSUMERS) <= ram && config.disk_bytes() > least, "{config:?}");
            let more = config.clone().max_bytes(config.max_bytes + config.max_bytes / 10);
            assert!(more.max_unwritten_bytes(0).ram_bytes(CONSUMERS) > ram / 2, "{ram}");
        }
    }

    #[test]
    fn estimates_of_what_validate_refuses_end_at_the_largest_number() {
        let config =
            Config::default().row_bytes_max(usize::MAX).max_unwritten_bytes(u64::MAX).max_bytes(u64::MAX);
        assert!(config.disk_bytes() > 1 << 40 && config.validate().is_err());
        assert_eq!(config.ram_bytes(u32::MAX), u64::MAX);
        let lane = LaneConfig::default().max_bytes(u64::MAX);
        let all = (0..u8::MAX).fold(config.lanes(u8::MAX), |config, at| config.lane(Lane(at), lane));
        for segment_bytes in [0, 1, u64::MAX] {
            let config = all.clone().segment_bytes(segment_bytes);
            assert!(config.disk_bytes() > 1 << 40 && config.ram_bytes(u32::MAX) == u64::MAX);
        }
    }

    #[test]
    fn the_estimate_of_the_file_is_the_rule_of_the_regions() {
        let (segment, config) = (MIB, Config::default());
        assert_eq!(config.disk_bytes(), 8 * KIB + 2 * (64 + 8) * MIB + 2 * 4 * segment);
    }
}
