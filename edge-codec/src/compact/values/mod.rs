//! Values of one column: how they become small numbers, and come back bit for bit.

pub(super) mod integer_dictionary;
mod integers;
pub(super) mod kind;
mod non_decimal_grid;
pub(super) mod number_form;
pub(super) mod plan;
pub(super) mod predict;
mod predictor_choice;
mod rounding;
pub(super) mod search;
pub(super) mod transform;
