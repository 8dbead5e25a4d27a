//! Comparison of `[queue] key_file` with the queues in the state directory, for `edge-gateway check`. A gateway that runs there has their locks, and is
//! not disturbed.

use std::path::Path;
use std::process::ExitCode;

use control_loop::OneLine;
use edge_queue::OpenError;
use edge_queue::inspect::{InspectError, check_key};

use crate::config::Config;
use crate::run::queue::{parked_messages, store};

/// Returns the line of the report about the queue that is there; `None` if there is none that opens with the configured key.
pub(super) fn line(config: &Config, state: &Path) -> Option<String> {
    let is_encrypted = check_key(state, &store::config(config)).ok()?;
    let said = match config.queue.key.as_ref().filter(|_| is_encrypted) {
        Some(key) => format!("encrypted with the key in {}", key.place()),
        None => "not encrypted: whoever has the disk can read what waits".to_owned(),
    };
    Some(format!("  {}\n", OneLine(&format!("queue in {}: {said}", state.display()))))
}

/// Compares the key, or that there is none, with the queues, and complains of each that a start would be refused.
///
/// # Errors
/// The exit code, if there is one.
pub(super) fn check(config: &Config, state: &Path) -> Result<(), ExitCode> {
    let settings = store::config(config);
    // What the hub refuses is in a queue of its own, with the same key.
    let mut outcome = Ok(());
    for dir in [state.to_owned(), state.join(parked_messages::DIR)] {
        let file = dir.join(store::FILE);
        let file = file.display();
        match check_key(&dir, &settings) {
            Ok(_) | Err(InspectError::NoQueue | InspectError::Unusable) => {}
            Err(InspectError::Open(
                error @ (OpenError::KeyMissing | OpenError::WrongKey | OpenError::NotEncrypted),
            )) => {
                let error = store::with_key(&error, config.queue.key.as_ref());
                edge_print::complain!("error: queue.key_file: {}", OneLine(&format!("{file}: {error}")));
                outcome = Err(ExitCode::from(2));
            }
            Err(error) => {
                let said = format!("{file}: {error}: `[queue] key_file` is not compared with it");
                edge_print::complain!("warning: {}", OneLine(&said));
            }
        }
    }
    outcome
}
