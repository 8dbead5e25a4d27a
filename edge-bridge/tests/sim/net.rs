//! Networks as TCP shows them: bytes in order or not at all; delay, rate, loss (which is delay), stall, reset, silence.

use std::collections::HashMap;

use bytes::Bytes;

use crate::rng::Rng;

/// Unsent bytes of a system that has no room for more.
const UNSENT: u64 = 16 * 1024;
/// Bytes that a system takes of a connection that swallows everything: unsent, and sent in vain.
const SWALLOWED: u64 = 64 * 1024;
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
    /// Given up by its near end: what is under way is dropped.
    reset: bool,
    near_to_far: Way,
    far_to_near: Way,
}

#[derive(Debug, Default)]
struct Way {
    free_us: u64,
    last_ms: u64,
    arrived_ms: u64,
    swallowed: u64,
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
    /// Times at which the WAN's two directions have transmitted what was sent, over all connections.
    wan_free_us: [u64; 2],
    next: LinkId,
    rng: Rng,
}

impl Net {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            wan: Path::new(20),
            lan: Path::new(1),
            links: HashMap::new(),
            wan_free_us: [0; 2],
            next: 1,
            rng,
        }
    }

    pub(crate) fn connect(&mut self, kind: Kind) -> LinkId {
        let id = self.next;
        self.next += 1;
        let [near_to_far, far_to_near] = [Way::default(), Way::default()];
        let link = Link { kind, swallows: false, reset: false, near_to_far, far_to_near };
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

    /// The near end gives the connection up: what is under way to the far end is dropped, and takes no more of the path.
    pub(crate) fn reset(&mut self, now_ms: u64, link: LinkId) {
        let Some(link) = self.links.get_mut(&link) else { return };
        link.reset = true;
        if link.kind == Kind::Wan && !link.swallows {
            self.wan_free_us[0] = self.wan_free_us[0].min(now_ms * 1000);
        }
    }

    /// Bytes that wait for the path behind others, in the near end's system.
    fn unsent(&self, now_ms: u64, link: &Link) -> u64 {
        if link.swallows {
            return link.near_to_far.swallowed;
        }
        self.wan_free_us[0].saturating_sub(now_ms * 1000) * self.wan.rate_per_s / 1_000_000
    }

    /// Bytes that the near end's system takes now.
    pub(crate) fn room(&self, now_ms: u64, link: LinkId) -> usize {
        let Some(link) = self.links.get(&link) else { return 0 };
        let limit = if link.swallows { SWALLOWED } else { UNSENT };
        usize::try_from(limit.saturating_sub(self.unsent(now_ms, link))).unwrap()
    }

    /// Time at which it calls a near end for which it had no room: half of its bytes have left.
    pub(crate) fn room_ms(&self, now_ms: u64, link: LinkId) -> Option<u64> {
        let link = self.links.get(&link).filter(|link| !link.swallows)?;
        let over = self.unsent(now_ms, link).saturating_sub(UNSENT / 2);
        Some(now_ms + (over * 1000).checked_div(self.wan.rate_per_s).unwrap_or(0))
    }

    /// Returns whether bytes are on their way to the far end and arrive there.
    pub(crate) fn is_moving(&self, now_ms: u64, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|link| {
            let way = &link.near_to_far;
            let moves = !link.swallows && self.wan.stalled_until_ms <= now_ms;
            moves && way.under_way > 0 && now_ms < way.arrived_ms + 3_000
        })
    }

    /// Reset: what is under way is gone.
    pub(crate) fn remove(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// Returns whether an arrival still counts.
    pub(crate) fn arrives(&mut self, now_ms: u64, link: LinkId, to: End, bytes: usize) -> bool {
        let Some(link) = self.links.get_mut(&link) else { return false };
        let way = if to == End::Far { &mut link.near_to_far } else { &mut link.far_to_near };
        way.under_way -= bytes;
        way.arrived_ms = now_ms;
        let dropped = link.reset && bytes > 0;
        !(link.swallows || dropped)
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
            way.swallowed += bytes.map_or(0, |bytes| bytes.len() as u64);
            return;
        }
        let free_us = match (state.kind, from) {
            (Kind::Wan, End::Near) => &mut self.wan_free_us[0],
            (Kind::Wan, End::Far) => &mut self.wan_free_us[1],
            (Kind::Lan(_), _) => &mut way.free_us,
        };
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
            *free_us = (*free_us).max(now_ms * 1000);
            if let Some(us) = (part.len() as u64 * 1_000_000).checked_div(path.rate_per_s) {
                *free_us += us;
            }
            let mut at_ms = *free_us / 1000 + path.latency_ms;
            if self.rng.one_in(path.loss_one_in) {
                at_ms += self.rng.between(200, 1200);
            }
            way.last_ms = way.last_ms.max(at_ms).max(path.stalled_until_ms);
            way.under_way += part.len();
            out.push(Arrival { at_ms: way.last_ms, link, to, bytes: Some(part) });
        }
    }
}
