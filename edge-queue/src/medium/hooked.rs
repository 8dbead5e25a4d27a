//! Directory around another one that calls a hook before every operation: to simulate a disk that is slow, lies or fails, and to count calls.

use std::io;
use std::sync::Arc;

use super::{Dir, FileId, Medium};

/// Kind of call of a [`Medium`] or a [`Dir`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Call {
    /// A call of `Medium::read_at`
    Read,
    /// A call of `Medium::write_at`
    Write,
    /// A call of `Medium::sync`
    Sync,
    /// A call of `Medium::set_len`
    SetLen,
    /// A call of `Medium::allocate`
    Allocate,
    /// A call of `Dir::create`
    Create,
    /// A call of `Dir::open`
    Open,
    /// A call of `Dir::rename`
    Rename,
    /// A call of `Dir::remove`
    Remove,
    /// A call of `Dir::sync`
    SyncDir,
    /// Any kind of call, where a kind is chosen: a fault planted for it counts every call.
    Any,
}

impl Call {
    /// Every kind of call but [`Call::Any`].
    pub const ALL: [Call; 10] = [
        Call::Read,
        Call::Write,
        Call::Sync,
        Call::SetLen,
        Call::Allocate,
        Call::Create,
        Call::Open,
        Call::Rename,
        Call::Remove,
        Call::SyncDir,
    ];
}

/// Decision about a call.
#[derive(Debug)]
pub enum Verdict {
    /// The call is made.
    Make,
    /// The call is not made and returns success. A call with a result, such as a read, is made nevertheless.
    Pretend,
    /// The call is not made and returns this error.
    Fail(io::Error),
}

/// Directory around another one, and every file in it, with a hook that decides about each call and may take its time. The hook is called by any
/// thread of the queue; a panic in it is one of the medium ([`store`](crate::store#panics)). Calls for which there is no [`Call`] (lengths, locks, identities, free space) go through.
///
/// ```
/// use std::sync::Arc;
/// use edge_queue::medium::{Call, Hooked, Verdict, os::OsDir};
/// use edge_queue::{Config, Queue, Row, SystemClock};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let home = tempfile::tempdir()?;
/// // An SD card.
/// let slow = Hooked::new(OsDir::new(home.path())?, |call| {
///     if call == Call::Sync {
///         std::thread::sleep(std::time::Duration::from_millis(20));
///     }
///     Verdict::Make
/// });
/// let q = Queue::open_in(Box::new(slow), Config::default(), Arc::new(SystemClock::new()))?;
/// # drop(q.push(Row::new("21.5"))?);
/// # q.close()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Hooked<D, F> {
    dir: D,
    hook: Arc<F>,
}

impl<D, F: Fn(Call) -> Verdict> Hooked<D, F> {
    /// Wraps `dir`: `hook` is called before each operation.
    pub fn new(dir: D, hook: F) -> Hooked<D, F> {
        Hooked { dir, hook: Arc::new(hook) }
    }
}

/// Makes a call, or not, as the hook decides.
fn ask(hook: &impl Fn(Call) -> Verdict, call: Call, make: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match hook(call) {
        Verdict::Make => make(),
        Verdict::Pretend => Ok(()),
        Verdict::Fail(error) => Err(error),
    }
}

/// Makes a call that cannot be pretended, or not, as the hook decides.
fn ask_for<T>(
    hook: &impl Fn(Call) -> Verdict,
    call: Call,
    make: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    match hook(call) {
        Verdict::Make | Verdict::Pretend => make(),
        Verdict::Fail(error) => Err(error),
    }
}

impl<D: Dir, F: Fn(Call) -> Verdict + Send + Sync + 'static> Hooked<D, F> {
    fn file(&self, call: Call, make: impl FnOnce() -> io::Result<Box<dyn Medium>>) -> Made {
        let file = ask_for(self.hook.as_ref(), call, make)?;
        Ok(Box::new(HookedFile { file, hook: self.hook.clone() }))
    }
}

type Made = io::Result<Box<dyn Medium>>;

impl<D: Dir, F: Fn(Call) -> Verdict + Send + Sync + 'static> Dir for Hooked<D, F> {
    fn create(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        self.file(Call::Create, || self.dir.create(name))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Medium>> {
        self.file(Call::Open, || self.dir.open(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        ask(self.hook.as_ref(), Call::Rename, || self.dir.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        ask(self.hook.as_ref(), Call::Remove, || self.dir.remove(name))
    }

    fn sync(&self) -> io::Result<()> {
        ask(self.hook.as_ref(), Call::SyncDir, || self.dir.sync())
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn Send>> {
        self.dir.lock(name)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.dir.free_bytes()
    }

    fn device(&self) -> io::Result<Option<u64>> {
        self.dir.device()
    }
}

struct HookedFile<F> {
    file: Box<dyn Medium>,
    hook: Arc<F>,
}

impl<F: Fn(Call) -> Verdict + Send + Sync> Medium for HookedFile<F> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        ask_for(self.hook.as_ref(), Call::Read, || self.file.read_at(offset, buf))
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        ask(self.hook.as_ref(), Call::Write, || self.file.write_at(offset, data))
    }

    fn sync(&mut self) -> io::Result<()> {
        ask(self.hook.as_ref(), Call::Sync, || self.file.sync())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        ask(self.hook.as_ref(), Call::SetLen, || self.file.set_len(len))
    }

    fn allocate(&mut self, offset: u64, len: u64) -> io::Result<()> {
        ask(self.hook.as_ref(), Call::Allocate, || self.file.allocate(offset, len))
    }

    fn lock(&mut self) -> io::Result<()> {
        self.file.lock()
    }

    fn id(&self) -> io::Result<Option<FileId>> {
        self.file.id()
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::testing::SimDir;

    #[test]
    fn each_call_is_made_pretended_or_failed_as_the_hook_says() {
        let beneath = SimDir::new();
        let (asked, next) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
        let (heard, verdict) = (asked.clone(), next.clone());
        let dir = Hooked::new(beneath.clone(), move |call| {
            heard.lock().unwrap().push(call);
            verdict.lock().unwrap().take().unwrap_or(Verdict::Make)
        });
        let mut buf = [9; 3];
        let mut file = dir.create("a").unwrap();
        file.allocate(0, 10).unwrap();
        file.write_at(0, b"abc").unwrap();
        *next.lock().unwrap() = Some(Verdict::Pretend);
        file.write_at(0, b"xyz").unwrap();
        *next.lock().unwrap() = Some(Verdict::Fail(io::ErrorKind::StorageFull.into()));
        assert_eq!(file.write_at(0, b"xyz").unwrap_err().kind(), io::ErrorKind::StorageFull);
        *next.lock().unwrap() = Some(Verdict::Pretend);
        file.read_at(0, &mut buf).unwrap();
        assert_eq!((&buf, file.len().unwrap()), (b"abc", 10));
        file.set_len(3).unwrap();
        file.sync().unwrap();
        dir.rename("a", "b").unwrap();
        drop(dir.open("b").unwrap());
        dir.sync().unwrap();
        *next.lock().unwrap() = Some(Verdict::Pretend);
        dir.remove("b").unwrap();
        assert_eq!(beneath.content("b").unwrap(), b"abc");
        assert!(dir.free_bytes().is_ok() && dir.lock("lock").is_ok());
        let tmp = tempfile::tempdir().unwrap();
        let real = crate::medium::os::OsDir::new(tmp.path()).unwrap();
        let device = real.device().unwrap();
        let hooked = Hooked::new(real, |_| Verdict::Make);
        assert!(hooked.free_bytes().unwrap() > Some(0) && device.is_some());
        assert_eq!(hooked.device().unwrap(), device);
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        assert!(Call::ALL.iter().all(|call| asked.contains(call)), "{asked:?}");
        assert_eq!(asked.len(), 12);
    }
}
