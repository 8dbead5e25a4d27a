//! Quality checks of single readings: status codes, range, outliers, jumps. Each marks a reading with a worse quality,
//! replaces its value or drops it. The checks of the ocean manuals are in [`qartod`](crate::qartod).

mod hampel;
mod jump_reject;
mod normalise;
mod range;

pub use hampel::{Alignment, Hampel, HampelState, HampelVerdict, OutlierAction};
pub use jump_reject::{JumpReject, JumpRejectState};
pub use normalise::Normalise;
pub use range::{Range, RangeAction};
