//! Comparison of a key with the queue in a directory, also of a queue that another process has open: it takes no lock and writes nothing.

use std::io::ErrorKind;
use std::path::Path;

use super::{InspectError, find_among, io, not_built};
use crate::config::{Config, StoreKind};
use crate::medium::os::OsDir;

/// Compares the [key] of `config`, or that there is none, with the queue in `dir`, as the next open with it will. Returns whether the queue is encrypted.
/// Takes no lock and changes nothing, so that it may be called while a process has the queue open. Reads the head of the file, and searches the rest
/// for another one only where that is damaged.
///
#[cfg_attr(feature = "encryption", doc = "[key]: crate::Config::encryption")]
#[cfg_attr(not(feature = "encryption"), doc = "[key]: crate#stores-and-features")]
///
/// ```
/// # use edge_queue::inspect::{InspectError, check_key};
/// # use edge_queue::{Config, Queue};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let spool = tempfile::tempdir()?;
/// # let config = Config::default();
/// assert!(matches!(check_key(&spool, &config), Err(InspectError::NoQueue)));
/// let _open = Queue::open(&spool, config.clone())?;
/// assert!(!check_key(&spool, &config)?, "it is not encrypted");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`InspectError::Open`] with the error with which an open would be refused ([`KeyMissing`](crate::OpenError::KeyMissing),
/// [`WrongKey`](crate::OpenError::WrongKey), [`NotEncrypted`](crate::OpenError::NotEncrypted), a newer format); no queue of the configured store there, a
/// file in which nothing can be used, or a call the system refused.
pub fn check_key(dir: impl AsRef<Path>, config: &Config) -> Result<bool, InspectError> {
    let dir = match OsDir::read_only(dir.as_ref()) {
        Ok(dir) => dir,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(InspectError::NoQueue),
        Err(error) => return Err(io("open the directory", error)),
    };
    match find_among(&dir, &[config.store_kind()])?.0 {
        #[cfg(feature = "ring")]
        StoreKind::Ring => {
            let checked =
                crate::store::RingStore::check_key(&dir, config.key()).map_err(InspectError::Open)?;
            checked.ok_or(InspectError::Unusable)
        }
        #[cfg(feature = "redb")]
        StoreKind::Redb if config.key().is_some() => Err(InspectError::Open(crate::OpenError::NotEncrypted)),
        #[cfg(feature = "redb")]
        StoreKind::Redb => Ok(false),
        other => Err(not_built(other)),
    }
}
