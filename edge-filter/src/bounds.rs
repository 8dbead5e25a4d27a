//! Error bound and loss bound of a stage: its costs, as values that a program can print or check.

use std::fmt;

/// Costs of a stage: the error of the readings that it suppresses or alters, and the number of readings that it can lose. The defaults are
/// those of a stage that alters no value and decides at once.
///
/// ```
/// use edge_filter::reduce::{Deadband, SwingingDoor};
/// use edge_filter::{Cost, ErrorBound, LossBound};
///
/// let (deadband, door) = (Deadband::absolute(0.5)?, SwingingDoor::new(0.5)?);
/// assert_eq!((deadband.error_bound(), deadband.loss_bound()), (ErrorBound::Absolute(0.5), LossBound::Nothing));
/// assert_eq!((door.error_bound(), door.loss_bound()), (ErrorBound::Linear(0.5), LossBound::Readings(1)));
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
pub trait Cost {
    /// Returns the largest distance of a suppressed or altered reading from the emitted ones.
    fn error_bound(&self) -> ErrorBound {
        ErrorBound::Exact
    }

    /// Returns the readings that a crash can lose, or that are refused before the stage accepts a change.
    fn loss_bound(&self) -> LossBound {
        LossBound::Nothing
    }
}

/// Largest distance between suppressed readings and the emitted ones, when every emitted value is taken to hold until the next, or, for
/// [`ErrorBound::Linear`], when a straight line connects them. It is that of readings whose values are compared: not of bad ones, nor of uncertain
/// ones where they count as bad. Their reasons are [`BadQuality`](crate::DropReason::BadQuality) and [`NotCompared`](crate::DropReason::NotCompared).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ErrorBound {
    /// No value is altered and none is suppressed.
    Exact,
    /// Every suppressed reading is at most this far from the last emitted value, in the unit of the sensor.
    Absolute(f64),
    /// As `Absolute`, except for readings sooner than `min_interval_ms` after an emitted one: those may be off by any
    /// amount, until the next reading arrives.
    AbsoluteAfter {
        /// Largest distance in the unit of the sensor.
        max_error: f64,
        /// Time after an emitted reading within which the distance is not bounded, in milliseconds.
        min_interval_ms: i64,
    },
    /// Every suppressed reading is at most this far from the straight line between the emitted ones around it.
    Linear(f64),
    /// The emitted values are aggregates of readings. Their distance from the readings is not bounded.
    Aggregate,
    /// No bound is given: a suppressed reading may be any distance from the emitted ones.
    NoneStated,
}

impl fmt::Display for ErrorBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorBound::Exact => f.write_str("exact"),
            ErrorBound::Absolute(width) => write!(f, "at most {width}"),
            ErrorBound::AbsoluteAfter { max_error, min_interval_ms } => {
                write!(f, "at most {max_error}, except within {min_interval_ms} ms of an emitted reading")
            }
            ErrorBound::Linear(width) => write!(f, "at most {width} from the straight line"),
            ErrorBound::Aggregate => f.write_str("none stated: aggregates stand for readings"),
            ErrorBound::NoneStated => f.write_str("none stated"),
        }
    }
}

/// Accepted readings that a crash can lose, beyond those that the stage suppresses anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossBound {
    /// Nothing: the stage decides at once and holds no reading.
    Nothing,
    /// Most readings per sensor that are lost: those that the stage holds, or that it refused before it accepted a change.
    Readings(u32),
    /// The readings of one open window or segment, or of a step of a clock; of all of these together.
    Open {
        /// Longest time that they span, in milliseconds. `None`: a segment lasts until the value moves.
        span_ms: Option<i64>,
        /// Number of readings beside it, which may be of other times: those that wait to be judged, or are refused.
        more: u32,
    },
}

impl fmt::Display for LossBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LossBound::Nothing => f.write_str("nothing"),
            LossBound::Readings(1) => f.write_str("at most 1 reading per sensor"),
            LossBound::Readings(n) => write!(f, "at most {n} readings per sensor"),
            LossBound::Open { span_ms, more } => {
                match span_ms {
                    Some(ms) => write!(f, "the readings of at most {ms} ms")?,
                    None => f.write_str("the readings of one open segment")?,
                }
                if *more > 0 {
                    write!(f, " and {more} more")?;
                }
                f.write_str(" per sensor")
            }
        }
    }
}
