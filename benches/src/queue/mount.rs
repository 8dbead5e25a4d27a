//! An ext4 of its own on a loop device, whose counters say what arrives at the device: journal included, others' writes not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::text;

pub(super) struct Disk {
    _home: tempfile::TempDir,
    mount: PathBuf,
    /// `/sys/block/loopN/stat`.
    counters: PathBuf,
}

impl Disk {
    /// The reason, where this machine or user cannot have one.
    pub(super) fn new(size: &str) -> Result<Disk, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("needs root, for a loop device with an ext4 of its own".to_owned());
        }
        let home = super::scratch()?;
        let (image, mount) = (home.path().join("disk.img"), home.path().join("disk"));
        fs::create_dir(&mount).map_err(text)?;
        let lazy = "lazy_itable_init=0,lazy_journal_init=0";
        call(Command::new("truncate").args(["-s", size]).arg(&image))?;
        call(Command::new("mkfs.ext4").args(["-q", "-b", "4096", "-E", lazy]).arg(&image))?;
        let device = call(Command::new("losetup").args(["--find", "--show"]).arg(&image))?;
        let device = device.trim().to_owned();
        let name = Path::new(&device).file_name().unwrap_or_default().to_owned();
        let counters = Path::new("/sys/block").join(name).join("stat");
        let mounted = call(Command::new("mount").args(["-t", "ext4"]).arg(&device).arg(&mount));
        // Detached now, the device goes with the last unmount.
        let _detached = call(Command::new("losetup").args(["--detach", &device]));
        mounted?;
        Ok(Disk { _home: home, mount, counters })
    }

    pub(super) fn path(&self) -> &Path {
        &self.mount
    }

    /// Bytes written to the device and flushes asked of it, once everything has arrived.
    pub(super) fn settled(&self) -> Result<(u64, u64), String> {
        call(Command::new("sync").arg("--file-system").arg(&self.mount))?;
        let text_of = fs::read_to_string(&self.counters).map_err(text)?;
        let fields: Vec<u64> = text_of.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        // Documentation/block/stat.rst: 7th field sectors written, 16th flushes.
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        Ok((field(6) * 512, field(15)))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: files may still be open after a failure.
        let _gone = Command::new("umount").arg("-l").arg(&self.mount).stderr(Stdio::null()).status();
    }
}

fn call(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
