//! Hub's side: rows leave the queue, become messages in the formats of their routes, and the hub is told of the gateway's state and of what was lost.

pub(super) mod batch;
pub(crate) mod compact;
pub(crate) mod duplicate_marks;
#[cfg(feature = "est")]
pub(super) mod enrolment;
pub(crate) mod enrolment_state;
pub(crate) mod formats;
mod former_certificate;
pub(crate) mod gap_reports;
pub(super) mod goodbye;
pub(super) mod hub_refusals;
pub(super) mod hub_state;
pub(crate) mod hub_status;
pub(crate) mod link_trouble;
pub(crate) mod pack;
pub(super) mod read_back;
pub(super) mod same_identifier;
pub(super) mod table_files;
pub(super) mod table_subscriber;
pub(crate) mod uplink;

#[cfg(feature = "est")]
pub(super) use enrolment::start as keep_enrolled;

/// Starts nothing: a build without the feature `est` takes no `[hub.est]`.
#[cfg(not(feature = "est"))]
pub(super) fn keep_enrolled(
    _: &crate::config::Config,
    _: &std::sync::Arc<edge_queue::SystemClock>,
    _: edge_bridge::net::ClockFloor,
    _: &enrolment_state::EnrolmentState,
) -> Option<tokio::task::JoinHandle<()>> {
    None
}
