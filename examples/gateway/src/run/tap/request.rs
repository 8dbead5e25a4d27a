//! Request of a tap, as the command sends it in a line: `tap STAGE SAMPLES SECONDS FILTER`.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use edge_bridge::wire::{matches, validate_filter};

/// Stage of a message's way at which samples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// Messages as they came from sensors
    In,
    /// Readings that passed the filter; with --why also the others
    Filtered,
    /// Rows of the queue, once they are safe
    Stored,
    /// Messages to the hub, once it has answered
    Sent,
}

impl Stage {
    const ALL: [(Self, &'static str); 4] =
        [(Self::In, "in"), (Self::Filtered, "filtered"), (Self::Stored, "stored"), (Self::Sent, "sent")];

    /// Bit of the stage in a set of stages.
    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(stage, _)| stage == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

/// Samples that a tap wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) stage: Stage,
    /// Set if readings that did not pass the filter are wanted, too.
    pub(crate) why: bool,
    /// Topic filter.
    pub(crate) filter: String,
}

impl Wish {
    /// Returns whether the topic is wanted.
    pub(super) fn takes(&self, topic: &str) -> bool {
        matches(&self.filter, topic)
    }
}

/// Tap that is asked for: its samples, and the number or the time after which it ends, whichever comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) wish: Wish,
    /// Number of samples after which the tap ends.
    pub(crate) samples: u32,
    /// Seconds after which the tap ends. `None`: it waits for its samples.
    pub(crate) seconds: Option<u32>,
}

/// Suffix of a stage at which the reasons are wanted, too.
const WHY: &str = "+why";

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wish: Wish { stage, why, filter }, samples, seconds } = self;
        let why = if *why { WHY } else { "" };
        write!(f, "tap {stage}{why} {samples} {} {filter}", seconds.unwrap_or(0))
    }
}

impl FromStr for Request {
    type Err = &'static str;

    /// Reads the line without its first word.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.splitn(4, ' ');
        let (Some(stage), Some(samples), Some(seconds), Some(filter)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("tap STAGE SAMPLES SECONDS FILTER is expected");
        };
        let (name, why) = stage.strip_suffix(WHY).map_or((stage, false), |name| (name, true));
        let stage = Stage::ALL.iter().find(|(_, known)| *known == name);
        let (stage, _) = stage.ok_or("the stage is none of in, filtered, stored, sent")?;
        let samples = samples.parse().map_err(|_| "the number of samples is none")?;
        let seconds = seconds.parse().map_err(|_| "the number of seconds is none")?;
        validate_filter(filter).map_err(|_| "the topic filter is none")?;
        let wish = Wish { stage: *stage, why, filter: filter.to_owned() };
        Ok(Self { wish, samples, seconds: Some(seconds).filter(|seconds| *seconds > 0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        for (stage, _) in Stage::ALL {
            for (why, seconds) in [(false, None), (true, Some(7))] {
                let wish = Wish { stage, why, filter: "plant/+/a b/#".to_owned() };
                let request = Request { wish, samples: 20, seconds };
                let line = request.to_string();
                assert_eq!(line.strip_prefix("tap ").unwrap().parse(), Ok(request), "{line}");
            }
        }
        for bad in ["", "in 20 0", "in x 0 #", "in 20 -1 #", "out 20 0 #", "in 20 0 a/#/b", "in+ 1 0 #"] {
            assert!(bad.parse::<Request>().is_err(), "{bad}");
        }
    }
}
