//! The planted bug of the power cuts on real disks: a directory whose syncs do nothing.

use edge_queue::medium::{Call, Dir, Hooked, Verdict};

/// Files and names as in the directory within, never synced.
pub(crate) fn no_sync(dir: impl Dir + 'static) -> Box<dyn Dir> {
    let hook = |call| match call {
        Call::Sync | Call::SyncDir => Verdict::Pretend,
        _ => Verdict::Make,
    };
    Box::new(Hooked::new(dir, hook))
}
