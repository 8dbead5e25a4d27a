//! The wall clock of a gateway's process, moved by a test while it runs: see `wall_clock.c`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Milliseconds beside the machine's clock, and whether the clock counts as synchronised.
#[derive(Clone, Debug)]
pub struct WallClock {
    file: PathBuf,
}

impl WallClock {
    /// Writes its file into the folder.
    pub fn new(dir: &Path, offset_ms: i64, is_synced: bool) -> Self {
        let clock = Self { file: dir.join("wall-clock") };
        fs::write(&clock.file, [0; 16]).unwrap();
        clock.set(offset_ms, is_synced);
        clock
    }

    /// Takes effect at once. A gateway asks every 10 s whether its clock is synchronised.
    pub fn set(&self, offset_ms: i64, is_synced: bool) {
        let bytes = [offset_ms.to_ne_bytes(), i64::from(is_synced).to_ne_bytes()].concat();
        // In place: the process has it mapped.
        fs::OpenOptions::new().write(true).open(&self.file).unwrap().write_all(&bytes).unwrap();
    }

    /// Has a process that is not started yet go by this clock.
    pub fn give_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("EDGE_TEST_CLOCK", &self.file);
    }
}

/// The shared library, built once per test process by the linker's compiler driver.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/wall_clock.c");
        let library =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("wall-clock-{}.so", std::process::id()));
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        assert!(built.unwrap().success());
        library
    })
}
