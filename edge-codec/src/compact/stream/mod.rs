//! Bit stream of a batch: numbers become tokens, tokens are entropy-coded, and the rest of the numbers' bits stays raw.

pub(super) mod ans;
pub(super) mod bits;
pub(super) mod coder;
pub(super) mod distribution_choice;
mod entropy_writer;
pub(super) mod error;
mod fixed_distributions;
pub(super) mod op_buffer;
pub(super) mod token;
