//! Visits of subcommands to the hub: one connection, which is made soon or not at all, and left without waiting.

use std::time::Duration;

use edge_bridge::Bridge;
use edge_bridge::bridge::{LinkState, Stats};
use tokio::time::timeout;

/// Time limit of the goodbye, which the hub does not need.
const GOODBYE: Duration = Duration::from_secs(1);

/// Waits for the first connection, at most so long and for so many attempts.
///
/// # Errors
/// Reason why there is none; `None` if the hub has not answered.
pub(crate) async fn connected(
    bridge: &Bridge,
    within: Duration,
    attempts: u64,
) -> Result<(), Option<String>> {
    let is_decided = |stats: &Stats| {
        stats.connects > 0 || (stats.dials >= attempts && stats.link == LinkState::BackingOff)
    };
    let mut watch = bridge.watch();
    // At once: what it returns holds the numbers, which the link has to change.
    drop(timeout(within, watch.wait_for(is_decided)).await);
    let stats = bridge.stats();
    if stats.connects > 0 { Ok(()) } else { Err(stats.last_error) }
}

/// Ends the connection.
pub(crate) async fn leave(bridge: Bridge) {
    let _ = timeout(GOODBYE, bridge.close()).await;
}
