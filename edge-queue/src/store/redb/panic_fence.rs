//! Panic fence around redb, which panics on damaged pages: every call returns a result, a failure of the medium, or damage that redb reported or
//! panicked on.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::value::Bad;
use crate::store::StoreError;

/// Failure that stopped a call.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The medium failed; the file may be undamaged.
    Io(io::Error),
    /// The file is damaged: redb refused it, or panicked on it.
    Damaged(String),
    /// An undamaged file of a later version.
    Newer(u32),
}

impl Trouble {
    /// Returns the error in the form of an I/O error.
    pub(super) fn into_io(self) -> io::Error {
        match self {
            Trouble::Io(e) => e,
            Trouble::Damaged(why) => io::Error::new(io::ErrorKind::InvalidData, why),
            Trouble::Newer(format) => io::Error::new(io::ErrorKind::InvalidData, format!("format {format}")),
        }
    }

    pub(super) fn into_store_error(self, op: &'static str) -> StoreError {
        StoreError::Io { op, source: self.into_io() }
    }
}

impl From<io::Error> for Trouble {
    fn from(e: io::Error) -> Trouble {
        match e.kind() {
            // redb's words for a file that is none of its own, and for one that ends too early.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Trouble::Damaged(e.to_string()),
            _ => Trouble::Io(e),
        }
    }
}

impl From<redb::Error> for Trouble {
    fn from(e: redb::Error) -> Trouble {
        match e {
            redb::Error::Io(e) => e.into(),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => Trouble::Io(io::Error::other(e)),
            other => Trouble::Damaged(other.to_string()),
        }
    }
}

impl From<Bad> for Trouble {
    fn from(bad: Bad) -> Trouble {
        match bad {
            Bad::Damaged => Trouble::Damaged("the bookkeeping fails its checksum".into()),
            Bad::Newer(format) => Trouble::Newer(format),
        }
    }
}

/// Calls `f` and turns a panic of redb, which trusts every page it reads, into damage.
pub(super) fn fence<T>(f: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|_| Err(Trouble::Damaged("redb panicked on a damaged page".into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is damaged is set aside; one whose medium fails stays, and is tried again.
    #[test]
    fn what_the_file_says_is_damage_and_what_the_medium_says_is_not() {
        let told = |e: redb::Error| matches!(Trouble::from(e), Trouble::Damaged(_));
        for kind in [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof] {
            assert!(told(redb::Error::Io(kind.into())), "{kind:?}");
        }
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::PermissionDenied, io::ErrorKind::Other] {
            assert!(!told(redb::Error::Io(kind.into())), "{kind:?}");
        }
        assert!(told(redb::Error::Corrupted(String::new())));
        assert!(!told(redb::Error::PreviousIo) && !told(redb::Error::DatabaseClosed));
        assert!(matches!(Trouble::from(Bad::Damaged), Trouble::Damaged(_)));
        assert!(matches!(Trouble::from(Bad::Newer(9)), Trouble::Newer(9)), "it must not be set aside");
        assert!(matches!(fence(|| -> Result<(), Trouble> { panic!("a page") }), Err(Trouble::Damaged(_))));
        assert!(matches!(fence(|| Err::<(), _>(Trouble::Newer(2))), Err(Trouble::Newer(2))));
    }
}
