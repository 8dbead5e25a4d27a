//! A small real ext4 on a loop device, for root.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounted until it is dropped.
pub(crate) struct Disk {
    _home: tempfile::TempDir,
    image: PathBuf,
    pub(crate) mount: PathBuf,
}

impl Disk {
    /// `size` as `truncate -s` takes it. Root gets no reserve, so that full means full.
    pub(crate) fn new(size: &str) -> Disk {
        let home = tempfile::tempdir().unwrap();
        let (image, mount) = (home.path().join("disk.img"), home.path().join("disk"));
        std::fs::create_dir(&mount).unwrap();
        run("truncate", &["-s", size, path(&image)]);
        let options = "lazy_itable_init=0,lazy_journal_init=0";
        run("mkfs.ext4", &["-q", "-m", "0", "-E", options, path(&image)]);
        let disk = Disk { _home: home, image, mount };
        disk.mount();
        disk
    }

    fn mount(&self) {
        run("mount", &["-o", "loop", path(&self.image), path(&self.mount)]);
    }

    /// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: from now on every write fails and nothing more arrives.
    /// An ioctl needs `unsafe` here, so Python makes it.
    #[allow(dead_code, reason = "some tests want no power cut")]
    pub(crate) fn cut(&self) {
        let script = "import fcntl,os,struct,sys; \
                      fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),0x8004587D,struct.pack('I',2))";
        run("python3", &["-c", script, path(&self.mount)]);
    }

    /// Mounts what is there after the power came back.
    #[allow(dead_code, reason = "some tests want no power cut")]
    pub(crate) fn remount(&self) {
        run("umount", &[path(&self.mount)]);
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: also when the test failed with files open, the loop device goes once they are closed.
        let _ = Command::new("umount").arg("-l").arg(&self.mount).status();
    }
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output();
    let done = done.unwrap_or_else(|e| panic!("{program} does not start: {e}"));
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}
