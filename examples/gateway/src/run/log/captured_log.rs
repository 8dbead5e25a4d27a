//! Capture of log lines in tests.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

/// Returns the lines that `work` writes, at the level `INFO` and above.
pub(in crate::run) fn captured(work: impl FnOnce()) -> String {
    let file = Arc::new(tempfile::tempfile().unwrap());
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::clone(&file)).finish();
    tracing::subscriber::with_default(log, work);
    let (mut file, mut lines) = (&*file, String::new());
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_string(&mut lines).unwrap();
    lines
}
