//! Filters that the application unsubscribes by name, and who waits for the hub's answer.

use tokio::sync::oneshot;

use crate::wire::Utf8;

/// Requests whose UNSUBSCRIBE has no UNSUBACK.
#[derive(Debug, Default)]
pub(super) struct Unsubscribing(Vec<(Vec<Utf8>, oneshot::Sender<()>)>);

impl Unsubscribing {
    pub(super) fn add(&mut self, filters: Vec<Utf8>, reply: oneshot::Sender<()>) {
        self.0.push((filters, reply));
    }

    /// Replies to the requests of whose filters none waits any more.
    pub(super) fn reply(&mut self, waits: impl Fn(&Utf8) -> bool) {
        let (open, done): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|(filters, _)| filters.iter().any(&waits));
        self.0 = open;
        for (_, reply) in done {
            // Perhaps nobody waits for it.
            let _ = reply.send(());
        }
    }
}
