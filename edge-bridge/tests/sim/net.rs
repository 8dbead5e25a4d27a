//! Networks as TCP shows them: bytes in order or not at all; delay, rate, loss (which is delay), stall, reset, silence.

use std::collections::HashMap;

use bytes::Bytes;

use crate::rng::Rng;

/// Bytes of a WAN segment.
const SEGMENT: usize = 1400;

pub(crate) type LinkId = u64;

/// Side of a connection; the one that made it is near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Near,
    Far,
}

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }
}

/// Kind of network, and the connection's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Gateway to hub.
    Wan,
    /// This sensor to the gateway.
    Lan(u16),
}

/// Present state of a network.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    /// One way.
    pub(crate) latency_ms: u64,
    /// Bytes per second each way; 0 = no limit.
    pub(crate) rate_per_s: u64,
    /// A segment is lost and sent again; 0 = never.
    pub(crate) loss_one_in: u64,
    /// Nothing moves until then.
    pub(crate) stalled_until_ms: u64,
    /// New connections can be made.
    pub(crate) up: bool,
}

impl Path {
    pub(crate) fn new(latency_ms: u64) -> Self {
        Self { latency_ms, rate_per_s: 0, loss_one_in: 0, stalled_until_ms: 0, up: true }
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) kind: Kind,
    /// Both ends believe in it, and nothing gets through.
    swallows: bool,
    near_to_far: Way,
    far_to_near: Way,
}

#[derive(Debug, Default)]
struct Way {
    free_us: u64,
    last_ms: u64,
    under_way: usize,
    ended: bool,
}

/// Something that arrives.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) at_ms: u64,
    pub(crate) link: LinkId,
    pub(crate) to: End,
    /// `None`: the end.
    pub(crate) bytes: Option<Bytes>,
}

#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) wan: Path,
    pub(crate) lan: Path,
    links: HashMap<LinkId, Link>,
    next: LinkId,
    rng: Rng,
}

impl Net {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { wan: Path::new(20), lan: Path::new(1), links: HashMap::new(), next: 1, rng }
    }

    pub(crate) fn connect(&mut self, kind: Kind) -> LinkId {
        let id = self.next;
        self.next += 1;
        let link = Link { kind, swallows: false, near_to_far: Way::default(), far_to_near: Way::default() };
        self.links.insert(id, link);
        id
    }

    pub(crate) fn kind(&self, link: LinkId) -> Option<Kind> {
        self.links.get(&link).map(|link| link.kind)
    }

    /// Everything of this kind that is up.
    pub(crate) fn links(&self, of: impl Fn(Kind) -> bool) -> Vec<LinkId> {
        let mut all: Vec<_> = self.links.iter().filter(|(_, l)| of(l.kind)).map(|(id, _)| *id).collect();
        all.sort_unstable();
        all
    }

    /// From now on both ends wait in vain.
    pub(crate) fn swallow(&mut self, link: LinkId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.swallows = true;
        }
    }

    /// Reset: what is under way is gone.
    pub(crate) fn remove(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// Returns whether an arrival still counts.
    pub(crate) fn arrives(&mut self, link: LinkId, to: End, bytes: usize) -> bool {
        let Some(link) = self.links.get_mut(&link) else { return false };
        let way = if to == End::Far { &mut link.near_to_far } else { &mut link.far_to_near };
        way.under_way -= bytes;
        !link.swallows
    }

    /// Bytes written and not arrived.
    pub(crate) fn under_way(&self, link: LinkId, to: End) -> usize {
        self.links.get(&link).map_or(0, |l| match to {
            End::Far => l.near_to_far.under_way,
            End::Near => l.far_to_near.under_way,
        })
    }

    /// Writes; `None` closes in order.
    pub(crate) fn send(
        &mut self,
        now_ms: u64,
        link: LinkId,
        from: End,
        bytes: Option<&Bytes>,
        out: &mut Vec<Arrival>,
    ) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let path = if state.kind == Kind::Wan { &self.wan } else { &self.lan };
        let way = if from == End::Near { &mut state.near_to_far } else { &mut state.far_to_near };
        if state.swallows || way.ended {
            return;
        }
        let to = from.other();
        let Some(bytes) = bytes else {
            way.ended = true;
            way.last_ms = way.last_ms.max(now_ms + path.latency_ms).max(path.stalled_until_ms);
            out.push(Arrival { at_ms: way.last_ms, link, to, bytes: None });
            return;
        };
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(SEGMENT));
            way.free_us = way.free_us.max(now_ms * 1000);
            if let Some(us) = (part.len() as u64 * 1_000_000).checked_div(path.rate_per_s) {
                way.free_us += us;
            }
            let mut at_ms = way.free_us / 1000 + path.latency_ms;
            if self.rng.one_in(path.loss_one_in) {
                at_ms += self.rng.between(200, 1200);
            }
            way.last_ms = way.last_ms.max(at_ms).max(path.stalled_until_ms);
            way.under_way += part.len();
            out.push(Arrival { at_ms: way.last_ms, link, to, bytes: Some(part) });
        }
    }
}
