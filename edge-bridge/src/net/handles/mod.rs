//! Handles that the application holds: of the bridge in its process, of a running link, and of the receipt of a message.

pub(super) mod bridge;
pub(super) mod closed;
pub(super) mod link;
pub(super) mod link_operator_requests;
pub(super) mod receipt;
