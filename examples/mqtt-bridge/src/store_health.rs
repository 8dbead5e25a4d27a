//! Log lines about failing stores: while the store of a queue fails, nobody gets a PUBACK for what the queue takes, and a log without a reason
//! would leave the operator with clients that wait.

use edge_bridge::escape::Escaped;
use edge_queue::{FaultKind, Health, Stats};

/// Failure of a queue's store that the last log line was about; `None`: the store worked.
#[derive(Debug, Default)]
pub(crate) struct ToldHealth(Option<FaultKind>);

impl ToldHealth {
    /// Logs a failure of another kind than the last one, and the end of a failure. `side` is that to which the queue's messages go.
    pub(crate) fn update(&mut self, connection: &str, side: &'static str, stats: &Stats) {
        let connection = Escaped(connection);
        let (kind, reason) = match &stats.health {
            Health::Degraded { kind, reason, .. } => (Some(*kind), reason.as_str()),
            Health::Healthy => (None, ""),
            _ => return,
        };
        if std::mem::replace(&mut self.0, kind) == kind {
            return;
        }
        if kind.is_some() {
            tracing::error!(%connection, side, reason, "the queue cannot store: what comes for it is not acknowledged until it can");
        } else {
            tracing::warn!(%connection, side, "the queue stores again");
        }
    }
}
