//! Values of one column: how they become small numbers, and come back bit for bit.

pub(super) mod delta_prediction;
pub(super) mod integer_dictionary;
mod integers;
pub(super) mod kind;
mod non_decimal_grid;
pub(super) mod number_form;
pub(super) mod plan;
pub(super) mod plan_search;
mod predictor_choice;
mod rounding;
pub(super) mod transform;
