//! The stream of bits that a batch is: numbers become tokens, tokens are entropy-coded, the rest of their bits stays raw.

pub(super) mod ans;
pub(super) mod bits;
pub(super) mod coder;
pub(super) mod script;
pub(super) mod shapes;
pub(super) mod token;
pub(super) mod wrong;
