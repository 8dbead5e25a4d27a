//! Taps: live samples of messages at four stages of their way, for an operator at the control socket (`edge-gateway tap`).
//!
//! ```text
//!  sensors ─▶ [in] ─▶ readings ▸ filter ─▶ [filtered] ─▶ intake ─▶ QUEUE ─▶ [stored] ─▶ pack ─▶ uplink ─▶ hub
//!                                                                                         [sent] ◀─ answer ─┘
//! ```
//! [`Taps`] owns them all, and each stage calls it. While nobody taps, a call is one relaxed load. No stage ever waits for a reader: a reader that
//! is slow loses samples and is told how many. Samples are payloads, so they go to the socket's owner alone. Pure, but for [`connection`].

pub(crate) mod connection;
mod judgement;
mod registry;
mod request;
mod sample;
mod stages;

pub(crate) use judgement::{Judgement, Trail};
pub(crate) use registry::{RAM_BYTES, Taps};
pub(crate) use request::{Request, Stage, Wish};
pub(crate) use sample::{Incoming, Judged, Line, Reading, Receipt, Sample, Sent, Shown, Stored, Verdict};
