//! Packing: rows become the PUBLISH packets of messages and batches.

pub(super) mod batch_pack;
pub(super) mod dead_letter_address;
pub(super) mod identity_form;
pub(super) mod pack;
