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
    // Nor does a whole one that is written and read piece by piece.
    let piece = [b'x'; 1 << 20];
    checksummed::replace_by(dir.path(), "pieces", "v 1 ", LIMIT / 2, |body| {
        (0..(LIMIT / 2) >> 20).try_for_each(|_| body.write_all(&piece))
    })
    .unwrap();
    let (version, mut body) = checksummed::open(dir.path(), "pieces", &["v 2 ", "v 1 "], LIMIT).unwrap();
    assert_eq!((version, std::io::copy(&mut body, &mut std::io::sink()).unwrap()), (1, LIMIT / 2));
    let taken = most_memory() - before;
    assert!(taken < MEMORY, "{taken} bytes");
    let error =
        checksummed::replace_by(dir.path(), "pieces", "v 1 ", 9, |body| body.write_all(b"ten bytes."));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::FileTooLarge);
    assert_eq!(fs::metadata(dir.path().join("pieces")).unwrap().len(), LIMIT / 2 + 4 + 64 + 1, "it stays");
    assert!(!dir.path().join("pieces.new").exists());
    checksummed::replace_by(dir.path(), "pieces", "v 1 ", 9, |body| body.write_all(b"9 bytes..")).unwrap();
    assert_eq!(checksummed::read(dir.path(), "pieces", "v 1 ", 100).unwrap(), b"9 bytes..");
    // The control: a whole one comes back.
    let body = vec![b'x'; 20 << 20];
    checksummed::replace(dir.path(), "whole", "v 1 ", &body).unwrap();
    assert!(checksummed::read(dir.path(), "whole", "v 1 ", LIMIT).unwrap() == body);
    assert!(checksummed::read(dir.path(), "whole", "v 2 ", LIMIT).is_err(), "another version");
    assert!(most_memory() - before > MEMORY);
}
