//! The stream of bits that a batch is: numbers become tokens, tokens are entropy-coded, the rest of their bits stays raw.

pub(super) mod ans;
pub(super) mod bits;
pub(super) mod coder;
pub(super) mod distribution_choice;
mod entropy_writer;
pub(super) mod error;
mod fixed_distributions;
pub(super) mod op_buffer;
pub(super) mod token;
