//! Bytes to and from the hub under the names of their causes (promise 9), as metrics, page and status tell them. Pure.

use edge_bridge::bridge::Stats;

/// Bytes of the link to the hub by cause.
pub(super) fn by_cause(link: &Stats) -> [(&'static str, u64); 5] {
    [
        ("payload", link.traffic.payload),
        ("mqtt", link.traffic.mqtt),
        ("tls", link.tls_bytes),
        ("ping", link.traffic.ping),
        ("resend", link.traffic.resend),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Payers by the byte look for the cause under its name.
    #[test]
    fn promise_9_each_cause_has_its_own_bytes() {
        let mut link = Stats::default();
        (link.traffic.payload, link.traffic.mqtt, link.tls_bytes) = (1, 20, 300);
        (link.traffic.ping, link.traffic.resend) = (4_000, 50_000);
        let expected = [("payload", 1), ("mqtt", 20), ("tls", 300), ("ping", 4_000), ("resend", 50_000)];
        assert_eq!(by_cause(&link), expected);
    }
}
