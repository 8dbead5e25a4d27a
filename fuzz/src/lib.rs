//! Fuzz targets without a nightly compiler: cargo-fuzz makes a target of each function over bytes, stable Rust a program that replays inputs, and a
//! test that replays the committed seeds. The packages are `edge-*/fuzz`; docs/testing.md has the commands.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reads and writes seeds")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a tool of tests")]

use std::path::Path;

/// A name of a target, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Bytes that the committed seeds of one crate may have in all.
const BYTES_MAX: u64 = 50 * 1024;
/// Set to write the seeds again.
const WRITE: &str = "EDGE_WRITE_SEEDS";

/// Makes the program of a target: `fuzz_replay::program!(edge_codec_fuzz::batches);`.
#[macro_export]
macro_rules! program {
    ($run:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $run(input));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay_arguments($run)
        }
    };
}

/// Runs a target over the files that the command line names.
///
/// # Errors
/// A file that cannot be read.
pub fn replay_arguments(run: fn(&[u8])) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        run(&std::fs::read(path)?);
    }
    Ok(())
}

/// Runs each target over its files in `seeds/NAME` of the package in `package`; `made` are the seeds as they are written today, with their target.
///
/// # Panics
/// If a target has no seed, if they are too large, or by the target itself.
pub fn replay_seeds(package: &str, targets: &[Target], made: &[(&str, Vec<u8>)]) {
    let seeds = Path::new(package).join("seeds");
    if std::env::var_os(WRITE).is_some() {
        for (nth, (name, seed)) in made.iter().enumerate() {
            std::fs::create_dir_all(seeds.join(name)).unwrap();
            std::fs::write(seeds.join(name).join(format!("{nth:02}")), seed).unwrap();
        }
    }
    let mut bytes = 0;
    for (name, run) in targets {
        let files: Vec<_> = std::fs::read_dir(seeds.join(name)).expect(name).map(Result::unwrap).collect();
        assert!(!files.is_empty() && made.iter().any(|(made, _)| made == name), "{name} has no seed");
        for file in &files {
            bytes += file.metadata().unwrap().len();
            run(&std::fs::read(file.path()).unwrap());
        }
        println!("executed seeds of {name}: {} cases", files.len());
    }
    assert!(bytes <= BYTES_MAX, "{bytes} bytes of seeds, at most {BYTES_MAX}");
}
