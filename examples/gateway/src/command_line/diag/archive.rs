//! Archive of small texts in the format of POSIX `tar` (ustar), as one value, with gzip or without.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

const BLOCK: usize = 512;

/// Makes an archive of texts with their names, all of one time.
///
/// # Errors
/// The name that has no room in a header.
pub(crate) fn tar(parts: &[(String, Vec<u8>)], unix_s: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for (name, content) in parts {
        bytes.extend(header(name, content.len() as u64, unix_s).ok_or_else(|| name.clone())?);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    // The end.
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    Ok(bytes)
}

/// Compresses an archive, as `tar xzf` takes it.
///
/// # Errors
/// Errors of the writer; memory gives none.
pub(crate) fn gzip(archive: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(archive)?;
    gzip.finish()
}

fn header(name: &str, size: u64, unix_s: u64) -> Option<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, length: usize, text: &str| {
        // A zero or a blank ends each field.
        let field = block.get_mut(at..at + length).filter(|_| text.len() < length)?;
        field.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        Some(())
    };
    put(0, 100, name)?;
    put(100, 8, "0000600")?;
    put(108, 8, "0000000")?;
    put(116, 8, "0000000")?;
    put(124, 12, &format!("{size:011o}"))?;
    put(136, 12, &format!("{unix_s:011o}"))?;
    // The sum is taken with blanks in its own place.
    put(148, 9, "        ")?;
    put(156, 2, "0")?;
    put(257, 7, "ustar")?;
    put(263, 3, "00")?;
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let text = format!("{sum:06o}\0 ");
    block.get_mut(148..156)?.copy_from_slice(text.as_bytes());
    Some(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn tar_does(arguments: &[&str], archive: &[u8]) -> String {
        let mut child =
            Command::new("tar").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(archive).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn tar_reads_it() {
        let parts =
            [("a/empty", String::new()), ("a/block", "x".repeat(BLOCK)), ("a/more", "y".repeat(BLOCK + 1))];
        let parts = parts.map(|(name, text)| (name.to_owned(), text.into_bytes()));
        let bytes = tar(&parts, 1_700_000_000).unwrap();
        let listed = tar_does(&["-tvf", "-", "--utc"], &bytes);
        let lines: Vec<_> =
            listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let line = |size: usize, name: &str| format!("-rw------- 0/0 {size} 2023-11-14 22:13 {name}");
        assert_eq!(lines, [line(0, "a/empty"), line(512, "a/block"), line(513, "a/more")]);
        assert_eq!(tar_does(&["-xOf", "-", "a/more"], &bytes), "y".repeat(BLOCK + 1));
        assert_eq!(tar(&[("n".repeat(100), Vec::new())], 0), Err("n".repeat(100)));
    }
}
