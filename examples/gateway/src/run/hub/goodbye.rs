//! End of the link at a clean stop: a connected hub gets a moment for what waits, and everything else stays on disk.

use std::time::Duration;

use edge_bridge::Link;
use tokio::time::timeout;

/// Time limit for a connected hub to acknowledge what waits, such as the readings that filters held until the stop.
const DRAIN_WITHIN: Duration = Duration::from_millis(500);
/// Time limit for that and for DISCONNECT, of the sixteen seconds of the longest stop.
const CLOSE_WITHIN: Duration = Duration::from_millis(1_500);

/// Ends the link.
pub(crate) async fn close(link: &Link) {
    let is_connected = link.stats().link.is_connected();
    let limit = if is_connected { DRAIN_WITHIN } else { Duration::ZERO };
    if timeout(CLOSE_WITHIN, link.close_within(limit)).await.is_err() {
        tracing::info!("the hub does not take a goodbye");
    }
}
