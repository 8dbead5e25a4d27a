//! Dialling: which address, in which version, when, and with which CONNECT.

pub(super) mod address_choice;
pub(super) mod bridge_bit;
pub(super) mod connect_choice;
pub(super) mod dial;
pub(super) mod takeover_signs;
pub(super) mod version_choice;
pub(super) mod will_choice;
