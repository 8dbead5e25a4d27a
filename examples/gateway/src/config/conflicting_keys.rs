//! Checks of keys that are each valid and cannot work together.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Config, Findings, Format, Local, hub_topics, loop_to_itself, route_reach};

/// Typical round trip over uplinks in the field. A batch must be complete and acknowledged within `ack_within`.
const ROUND_TRIP: Duration = Duration::from_millis(500);

/// Reports errors and warnings. `numbers` are the routes' numbers in the file.
pub(super) fn check(config: &Config, numbers: &[usize], findings: &mut Findings) {
    for (index, (route, number)) in config.routes.iter().zip(numbers).enumerate() {
        let key = format!("route[{number}]");
        if route.format != Format::Raw && route.batch_age + ROUND_TRIP >= config.queue.ack_within {
            findings.warning(
                0,
                &format!("{key}.batch_age"),
                "batch_age + 500ms reaches queue.ack_within: every row is written to flash before the hub can answer",
            );
        }
        if route.hold_max.is_some() && matches!(config.local, Local::Broker { .. }) {
            findings.warning(
                0,
                &format!("{key}.ack_held"),
                "all sensors behind a broker share its window: what is held stops them, unless that is large \
                 (Mosquitto: max_inflight_messages)",
            );
        }
        route_reach::check(config, (index, numbers), &key, findings);
        hub_topics::check(config, index, &key, findings);
    }
    if let Local::Listen { limits, .. } = &config.local
        && limits.per_client.max_rate.is_some()
        && config.control.is_some()
    {
        let message = "not beside [control]: a value that waited for its client's rate would count as fresh";
        findings.error(0, "local.max_rate", message);
    }
    if let Local::Broker { host, port, topics, .. } = &config.local {
        if topics.is_empty() {
            findings.error(0, "local.topics", "nothing to subscribe to");
        }
        if let Some(key) = hub_key(config, |url| loop_to_itself::is_at(url, host, *port)) {
            findings.error(0, key, "the hub is the local broker: messages would go round in circles");
        }
    }
    if let Local::Listen { addresses, .. } = &config.local
        && let Some(key) =
            hub_key(config, |url| addresses.iter().any(|own| loop_to_itself::is_listener(url, own)))
    {
        findings.error(0, key, "the hub is this gateway's own listener: messages would go round in circles");
    }
    if let (Local::Listen { addresses, .. }, Some(metrics)) = (&config.local, config.metrics)
        && addresses.iter().any(|own| conflict(own, metrics))
    {
        findings.error(0, "metrics.listen", "local.listen or tls_listen has this address and port already");
    }
}

/// Returns whether two addresses conflict, so that one machine cannot listen at both.
pub(super) fn conflict(one: SocketAddr, other: SocketAddr) -> bool {
    let [one, other] = [one, other].map(|at| SocketAddr::new(at.ip().to_canonical(), at.port()));
    // `[::]` takes addresses of IPv4, too.
    let covers =
        |any: SocketAddr, one: SocketAddr| any.ip().is_unspecified() && (any.is_ipv6() || one.is_ipv4());
    one.port() == other.port() && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
}

/// Returns the key of the first of the hub's addresses for which `is_so` is true. `None`: there is none.
fn hub_key(config: &Config, is_so: impl Fn(&str) -> bool) -> Option<&'static str> {
    let at = config.hub.urls().position(is_so)?;
    Some(if at == 0 { "hub.url" } else { "hub.further_urls" })
}
