//! One column's values: how they become small numbers, and come back bit for bit.

pub(super) mod form;
mod grid;
mod integers;
pub(super) mod kind;
pub(super) mod lists;
pub(super) mod plan;
pub(super) mod pre;
pub(super) mod predict;
pub(super) mod search;
mod shape;
