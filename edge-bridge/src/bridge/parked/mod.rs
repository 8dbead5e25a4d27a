//! Parked rows: what the hub refused waits behind everything else, is tried again, and is listed, copied or dropped by an operator.

pub(super) mod operator_pass_state;
pub(super) mod operator_requests;
pub(super) mod park;
pub(super) mod parked_list;
pub(super) mod parked_pass;
