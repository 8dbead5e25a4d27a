//! A simulated disk with pages that cannot be read.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use edge_queue::medium::{Dir, Medium};
use edge_queue::testing::SimDir;

pub(crate) const PAGE: u64 = 4096;

/// Pages that cannot be read, over a simulated disk.
#[derive(Clone)]
pub(crate) struct BadSectors {
    pub(crate) dir: SimDir,
    pub(crate) bad: Arc<Mutex<BTreeSet<u64>>>,
    /// Names of files that lie on other pages of the disk; `None` if all of them have bad pages.
    elsewhere: Option<Arc<Mutex<BTreeSet<String>>>>,
}

impl BadSectors {
    pub(crate) fn over(dir: SimDir) -> BadSectors {
        BadSectors { dir, bad: Arc::default(), elsewhere: None }
    }

    /// Makes a disk of which the files that are made from now on have no bad pages.
    #[allow(dead_code, reason = "each test uses its part")]
    pub(crate) fn below_files_of(dir: SimDir) -> BadSectors {
        BadSectors { elsewhere: Some(Arc::default()), ..BadSectors::over(dir) }
    }

    fn file(&self, name: &str, file: Box<dyn Medium>) -> Box<dyn Medium> {
        let is_elsewhere = self.elsewhere.as_ref().is_some_and(|names| names.lock().unwrap().contains(name));
        if is_elsewhere { file } else { Box::new(BadFile(file, self.bad.clone())) }
    }
}

struct BadFile(Box<dyn Medium>, Arc<Mutex<BTreeSet<u64>>>);

impl Dir for BadSectors {
    fn create(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        if let Some(names) = &self.elsewhere {
            names.lock().unwrap().insert(name.to_owned());
        }
        Ok(self.file(name, self.dir.create(name)?))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        Ok(self.file(name, self.dir.open(name)?))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if let Some(mut names) = self.elsewhere.as_ref().map(|names| names.lock().unwrap()) {
            let moves = names.remove(from);
            names.remove(to);
            names.extend(moves.then(|| to.to_owned()));
        }
        self.dir.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.dir.remove(name)
    }
    fn sync(&self) -> io::Result<()> {
        self.dir.sync()
    }
    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>> {
        self.dir.lock(name)
    }
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.dir.free_bytes()
    }
}

impl Medium for BadFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let pages = offset / PAGE..(offset + buf.len() as u64).div_ceil(PAGE);
        if self.1.lock().unwrap().range(pages).next().is_some() {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.0.read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn allocate(&mut self, offset: u64, len: u64) -> io::Result<()> {
        self.0.allocate(offset, len)
    }
}
