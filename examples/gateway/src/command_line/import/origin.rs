//! Origin of a key: the lines of an imported file from which it is made.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use mosquitto_conf::conf::Line;

/// Lines of a file, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) file: Arc<Path>,
    pub(super) first: usize,
    pub(super) last: usize,
}

impl From<&Line> for Origin {
    fn from(line: &Line) -> Self {
        Self { file: line.place.file.clone(), first: line.place.line, last: line.place.line }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.first)?;
        if self.last > self.first {
            write!(f, "-{}", self.last)?;
        }
        Ok(())
    }
}
