//! State of the link to the hub for local clients of the listener, `1` or `0` on `$SYS/broker/connection/CLIENT_ID/state`, as Mosquitto tells that of
//! a bridge.

use edge_bridge::Link;
use edge_bridge::net::server::LocalPublisher;

/// Tells the state at the start, and each change of it, until the link or the listener ends.
pub(in crate::run) async fn tell(link: Link, listener: Option<LocalPublisher>, client_id: String) {
    let Some(listener) = listener else { return };
    let mut stats = link.watch();
    let mut told = None;
    loop {
        let is_up = stats.borrow_and_update().link.is_connected();
        if told != Some(is_up) {
            if listener.set_link_state(&client_id, is_up).await.is_err() {
                return;
            }
            told = Some(is_up);
        }
        if stats.changed().await.is_err() {
            return;
        }
    }
}
