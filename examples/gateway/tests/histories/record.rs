//! Records of a history: what was sent and acknowledged, what every run of the gateway was told to do, and what a reader
//! found at the hub. The judge sees nothing else.

use std::fmt;

/// A value as JSON has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Float(f64),
    Int(i64),
    Text(String),
    Bool(bool),
    Null,
}

impl Value {
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// To the bit.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(one), Self::Float(other)) => one.to_bits() == other.to_bits(),
            _ => self == other,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "\"{value}\""),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Null => f.write_str("null"),
        }
    }
}

/// A reading that a sensor sent. Its quality is the one that a reader must find.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) sensor: String,
    /// Place among all readings of the sensor.
    pub(crate) index: usize,
    /// Without a stamp the gateway gives the time of arrival; then no other reading of the sensor has this value.
    pub(crate) time: Option<i64>,
    pub(crate) value: Value,
    pub(crate) quality: u32,
    pub(crate) unit: String,
    /// Stamped older than the sensor's last, like it, or ahead of the clock: no part of the series.
    pub(crate) beside: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Readings(Vec<Reading>),
    /// Arrives at the hub as it is, under this topic.
    Whole(String),
}

impl Content {
    pub(crate) fn readings_mut(&mut self) -> &mut [Reading] {
        match self {
            Self::Readings(readings) => readings,
            Self::Whole(_) => &mut [],
        }
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Readings(Vec::new())
    }
}

impl Message {
    /// Returns whether the gateway may have judged the reading to be ahead of its clock.
    pub(crate) fn is_ahead(&self, reading: &Reading) -> bool {
        reading.time.is_some_and(|time| time > self.ahead_of_ms)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) topic: String,
    /// No other message has it.
    pub(crate) payload: String,
    pub(crate) route: usize,
    pub(crate) content: Content,
    /// By the machine's clock.
    pub(crate) sent_ms: i64,
    /// Latest stamp that cannot have been judged to be ahead of the gateway's clock.
    pub(crate) ahead_of_ms: i64,
    /// Run of the gateway in which it was sent first, and in which its PUBACK was seen.
    pub(crate) sent: usize,
    pub(crate) acked: Option<usize>,
}

/// A reducing stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Filter {
    None,
    OnChange,
    Deadband(f64),
    Door(f64),
    Segment(f64),
    /// The first of so many.
    Sample(usize),
    Window(Window),
}

impl Filter {
    pub(crate) fn holds(self) -> bool {
        matches!(self, Self::Door(_) | Self::Segment(_) | Self::Window(_))
    }
}

/// One aggregate of the good readings of each interval of event time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) width_ms: i64,
    pub(crate) lateness_ms: i64,
    pub(crate) aggregate: Aggregate,
}

impl Window {
    /// Start of the window that a time is in.
    pub(crate) fn start(self, time: i64) -> i64 {
        time - time.rem_euclid(self.width_ms)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aggregate {
    Count,
    First,
    Last,
    Min,
    Max,
    Mean,
    Sum,
}

/// One process of the gateway; its rows have the number of the run, counted from 1, as epoch.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// By route.
    pub(crate) filters: Vec<Filter>,
    /// `ack_held = "when_emitted"`, by route.
    pub(crate) withholds: Vec<bool>,
    pub(crate) killed: bool,
    /// Least and most that the gateway's wall clock was ahead of the machine's, in ms.
    pub(crate) offsets_ms: (i64, i64),
}

/// Gateway, lane, epoch, number.
pub(crate) type Identity = (u64, u8, u32, u64);

/// A reading that a reader found at the hub.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: Identity,
    /// Marked as a possible duplicate.
    pub(crate) pd: bool,
    /// Number of the message that it came in, by arrival.
    pub(crate) batch: usize,
    pub(crate) sensor: String,
    pub(crate) time: i64,
    pub(crate) value: Value,
    pub(crate) quality: u32,
    pub(crate) unit: String,
}

/// A record of a gap report: so many messages of a lane will never come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Gap {
    pub(crate) lane: u8,
    pub(crate) reason: String,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) count: u64,
}

/// A message that a reader found at the hub as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Whole {
    pub(crate) id: String,
    pub(crate) pd: bool,
    pub(crate) topic: String,
    pub(crate) payload: String,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    pub(crate) messages: Vec<Message>,
    pub(crate) runs: Vec<Run>,
    /// `order = "fifo"`.
    pub(crate) fifo: bool,
    /// The hub had a limit of size for a while.
    pub(crate) limited: bool,
    /// By route, how often the hub began to refuse its topic.
    pub(crate) refusals: Vec<usize>,
    /// By route, the limit of its alarm, if every run before the last has it.
    pub(crate) alarms: Vec<Option<f64>>,
    /// The end by the machine's clock.
    pub(crate) ended_ms: i64,
    /// In the order in which they arrived, as are the next two.
    pub(crate) rows: Vec<Row>,
    pub(crate) wholes: Vec<Whole>,
    /// Records of the gap reports.
    pub(crate) gaps: Vec<Gap>,
    /// Rows that were given up before the last run.
    pub(crate) dropped_before_last: u64,
    /// Batches that no reader can decode with what the hub has, and why.
    pub(crate) unreadable: Vec<String>,
    /// Rows that the gateway says it has given up.
    pub(crate) dropped: u64,
    /// The gateway's last word on its queue: accepted less delivered, waiting and dropped.
    pub(crate) exits: Vec<String>,
    /// Payloads that waited longer than `max_age`.
    pub(crate) expired: Vec<String>,
    /// The line to the hub is encrypted, and topics could be read on it.
    pub(crate) in_clear: bool,
    /// Messages that waited too long for others, which the hub refused.
    pub(crate) delayed: Vec<String>,
    /// Times at which the gateway's verdict was not that of what the hub did.
    pub(crate) untold: Vec<String>,
}

impl Records {
    /// Returns whether a sensor's readings come in their order. What a full queue gave up since its last commit is there again
    /// after a kill, behind what was delivered since; what a hub refuses as too large waits, and its topic goes on.
    pub(crate) fn is_ordered(&self) -> bool {
        let revives = self.dropped > 0 && self.runs.iter().any(|run| run.killed);
        self.fifo && !revives && !self.limited
    }

    /// For people: a line for each message and for each row.
    pub(crate) fn lines(&self) -> String {
        let sent = self.messages.iter().map(|m| {
            let (topic, payload, run, acked) = (&m.topic, &m.payload, m.sent, m.acked);
            format!("sent in run {run}, acknowledged in {acked:?}: {topic} {payload}\n")
        });
        let rows = self.rows.iter().map(|row| format!("{row:?}\n"));
        let wholes = self.wholes.iter().map(|whole| format!("{whole:?}\n"));
        sent.chain(rows).chain(wholes).collect()
    }
}
