//! Memory that a damaged file takes: next to none, although a whole one of its size would be read.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "test code")]

use std::fs::{self, File};
use std::io::ErrorKind;

use edge_state::{checksummed, file};

const LIMIT: u64 = 64 << 20;
/// Bytes that reading may take at most.
const MEMORY: u64 = 8 << 20;

/// Most memory that this process has had, in bytes.
fn most_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// One test, since tests of one program share its memory.
#[test]
fn a_damaged_file_takes_no_memory_and_a_larger_one_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let before = most_memory();
    checksummed::replace(dir.path(), "damaged", "v 1 ", b"").unwrap();
    File::options().write(true).open(dir.path().join("damaged")).unwrap().set_len(LIMIT).unwrap();
    let error = checksummed::read(dir.path(), "damaged", "v 1 ", LIMIT).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::InvalidData, "it is damaged"));
    File::create(dir.path().join("larger")).unwrap().set_len(LIMIT + 1).unwrap();
    for error in [
        checksummed::read(dir.path(), "larger", "v 1 ", LIMIT).unwrap_err(),
        file::read(dir.path(), "larger", LIMIT).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "it has more than 67108864 bytes");
    }
    let taken = most_memory() - before;
    assert!(taken < MEMORY, "{taken} bytes");
    // The control: a whole one comes back.
    let body = vec![b'x'; 20 << 20];
    checksummed::replace(dir.path(), "whole", "v 1 ", &body).unwrap();
    assert!(checksummed::read(dir.path(), "whole", "v 1 ", LIMIT).unwrap() == body);
    assert!(checksummed::read(dir.path(), "whole", "v 2 ", LIMIT).is_err(), "another version");
    assert!(most_memory() - before > MEMORY);
}
