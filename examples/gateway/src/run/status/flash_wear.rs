//! Wear of the flash below the state directory, as far as the kernel tells it: eMMC estimates it by itself (JEDEC 84-B51, EXT_CSD 254, 267 and 268).

#![allow(clippy::disallowed_methods, reason = "a shell: it reads small files of the kernel")]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Directory in which the kernel shows its devices.
const SYS: &str = "/sys";
/// Value of the estimate for a device that is beyond its life.
const EXCEEDED: u8 = 0x0b;

/// Wear of a device, by its own estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FlashWear {
    /// Upper bound of the life that is used, in tenths: 2 is more than 10 % and at most 20 %, 11 is beyond its life. `None`: the device does not say.
    pub(crate) life_used_tenths: Option<u8>,
    /// Use of the blocks kept in reserve. `None`: the device does not say.
    pub(crate) pre_eol: Option<PreEol>,
}

/// Use of the blocks that a device keeps in reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PreEol {
    Normal,
    /// Four fifths are used.
    Warning,
    /// Nine tenths are used.
    Urgent,
}

impl PreEol {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Warning => "warning",
            Self::Urgent => "urgent",
        }
    }
}

impl FlashWear {
    /// Reads the texts of the files `life_time`, which has the estimates of up to two kinds of memory, and `pre_eol_info`. Returns the worse estimate;
    /// `None` if neither says anything.
    fn parse(life_time: Option<&str>, pre_eol_info: Option<&str>) -> Option<Self> {
        let estimates = life_time.unwrap_or_default().split_whitespace().filter_map(number);
        let life_used_tenths = estimates.filter(|estimate| (1..=EXCEEDED).contains(estimate)).max();
        let pre_eol = match pre_eol_info.and_then(|text| number(text.trim())) {
            Some(1) => Some(PreEol::Normal),
            Some(2) => Some(PreEol::Warning),
            Some(3) => Some(PreEol::Urgent),
            _ => None,
        };
        let is_told = life_used_tenths.is_some() || pre_eol.is_some();
        is_told.then_some(Self { life_used_tenths, pre_eol })
    }

    /// Reads the wear of the device that has the file system of `state`. `None`: the kernel does not tell it.
    pub(crate) fn of(state: &Path) -> Option<Self> {
        let device = std::fs::metadata(state).ok()?.dev();
        Self::of_device(Path::new(SYS), rustix::fs::major(device), rustix::fs::minor(device))
    }

    fn of_device(sys: &Path, major: u32, minor: u32) -> Option<Self> {
        let block = std::fs::canonicalize(sys.join(format!("dev/block/{major}:{minor}"))).ok()?;
        below(&block).into_iter().find_map(|disk| {
            let read = |name| std::fs::read_to_string(disk.join("device").join(name)).ok();
            Self::parse(read("life_time").as_deref(), read("pre_eol_info").as_deref())
        })
    }
}

/// Returns the block device, the disk of which it is a partition, and what is below it if it is mapped on one other, as for encryption.
fn below(block: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        [Some(block), block.parent()].into_iter().flatten().map(Path::to_owned).collect();
    let slaves = std::fs::read_dir(block.join("slaves")).into_iter().flatten().flatten();
    let slaves: Vec<PathBuf> = slaves.filter_map(|slave| std::fs::canonicalize(slave.path()).ok()).collect();
    if let [only] = slaves.as_slice() {
        all.extend([Some(only.as_path()), only.parent()].into_iter().flatten().map(Path::to_owned));
    }
    all
}

/// Returns the value of a number such as `0x0b`.
fn number(text: &str) -> Option<u8> {
    u8::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn wear(life_used_tenths: Option<u8>, pre_eol: Option<PreEol>) -> Option<FlashWear> {
        Some(FlashWear { life_used_tenths, pre_eol })
    }

    #[test]
    fn the_worse_of_two_estimates_counts_and_what_is_not_defined_is_nothing() {
        for (life_time, pre_eol_info, expected) in [
            (Some("0x01 0x02\n"), Some("0x01\n"), wear(Some(2), Some(PreEol::Normal))),
            (Some("0x0b 0x00\n"), Some("0x03"), wear(Some(11), Some(PreEol::Urgent))),
            (Some("0x00 0x0a"), None, wear(Some(10), None)),
            (None, Some("0x02\n"), wear(None, Some(PreEol::Warning))),
            (Some("0x00 0x00"), Some("0x00"), None),
            (Some("0x0c 0xff"), Some("0x04"), None),
            (Some("1 2 0x 0x100 -0x1 \u{e4}"), Some("0x0x1"), None),
            (Some(""), Some(""), None),
            (None, None, None),
        ] {
            assert_eq!(FlashWear::parse(life_time, pre_eol_info), expected, "{life_time:?} {pre_eol_info:?}");
        }
    }

    /// A partition of an eMMC, and an encrypted volume on one, in the kernel's layout.
    #[test]
    fn the_disk_of_a_partition_and_below_a_mapping_is_found() {
        let sys = tempfile::tempdir().unwrap();
        let card = sys.path().join("devices/mmc0:0001");
        let disk = card.join("block/mmcblk0");
        fs::create_dir_all(disk.join("mmcblk0p2")).unwrap();
        symlink(&card, disk.join("device")).unwrap();
        fs::write(card.join("life_time"), "0x03 0x01\n").unwrap();
        let mapped = sys.path().join("devices/virtual/block/dm-0");
        fs::create_dir_all(mapped.join("slaves")).unwrap();
        symlink(disk.join("mmcblk0p2"), mapped.join("slaves/mmcblk0p2")).unwrap();
        let blocks = sys.path().join("dev/block");
        fs::create_dir_all(&blocks).unwrap();
        for (number, target) in [("179:2", disk.join("mmcblk0p2")), ("179:0", disk), ("254:0", mapped)] {
            symlink(target, blocks.join(number)).unwrap();
        }
        for (major, minor) in [(179, 2), (179, 0), (254, 0)] {
            assert_eq!(
                FlashWear::of_device(sys.path(), major, minor),
                wear(Some(3), None),
                "{major}:{minor}"
            );
        }
        assert_eq!(FlashWear::of_device(sys.path(), 8, 1), None, "a disk that does not tell");
        assert_eq!(FlashWear::of(&sys.path().join("nowhere")), None);
    }
}
