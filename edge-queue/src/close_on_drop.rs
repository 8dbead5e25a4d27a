//! Owner of a queue's engine, shared by all handles of the queue. When the last of these is dropped, so is the owner, which closes the engine.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::config::Config;
use crate::engine::Engine;

/// Directory and settings of an open queue.
pub(crate) struct Home {
    pub(crate) dir: PathBuf,
    pub(crate) config: Config,
}

/// Owner of an engine, shared by all handles of a queue. Its drop closes the engine.
pub(crate) struct Handle {
    pub(crate) engine: Arc<Engine>,
    /// Directory and settings of the queue, from which a second queue beside it is opened. `None` if the directory has no path.
    pub(crate) home: Option<Home>,
    closer: OnceLock<Closer>,
}

/// Function that closes an engine on another thread; `false` when it could not.
type Closer = Box<dyn Fn(Arc<Engine>) -> bool + Send + Sync>;

impl Handle {
    pub(crate) fn new(engine: Arc<Engine>, home: Option<Home>) -> Handle {
        Handle { engine, home, closer: OnceLock::new() }
    }

    /// Sets the function that closes the engine after the last drop, instead of the drop itself; only the first call has an effect.
    #[cfg(feature = "tokio")]
    pub(crate) fn close_on(&self, closer: impl Fn(Arc<Engine>) -> bool + Send + Sync + 'static) {
        // The first async handle's thread does as well as any other's.
        let _first = self.closer.set(Box::new(closer));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.closer.get().is_some_and(|close| close(self.engine.clone())) {
            return;
        }
        // Nobody is left to hear of an error; `Queue::close` tells.
        let _unheard = self.engine.close();
    }
}
