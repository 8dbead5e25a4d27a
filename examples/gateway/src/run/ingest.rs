//! Ingest of a sensor's message: the first route whose filter matches decides.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control_loop::mqtt::LoopNames;
use edge_bridge::Row;
use edge_bridge::escape::Escaped;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::net::intake::Intake;
use edge_bridge::puback_chain::Ticket;
use edge_bridge::wire::{ReasonCode, matches};
use edge_codec::DecodeError;
use edge_filter::Pipeline;
use tokio::sync::Notify;

use crate::config::Route;

use super::arrival::ArrivalClock;
use super::duplicate_marks::DuplicateMarks;
use super::once_an_hour::OnceAnHour;
use super::readings::Readings;
use super::replaced_parts::OwnIngest;
use super::route::RouteState;
use super::status_page::figures::RouteFigures;
use super::withhold::{Extent, Link};
use alarms::Commanded;
pub(crate) use counts::Counts;

mod alarms;
mod change;
mod counts;
mod over_runs;
#[cfg(test)]
pub(crate) use alarms::tests::rig as alarm_rig;

/// The ingest of the gateway, for whichever side the sensors come from. A handle: the listener asks it, the shell lets
/// its filters notice silence.
#[derive(Clone, Debug)]
pub(crate) struct GatewayIngest {
    inner: Arc<Mutex<Inner>>,
    /// A publisher stands still, and receipts wait for stages.
    let_go: Arc<Notify>,
    /// Answers to commands for the hub that found no room.
    answers_without_room: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Inner {
    arrival: ArrivalClock,
    /// Asked before the routes.
    own: Option<OwnIngest>,
    routes: Vec<RouteState>,
    restarted: DuplicateMarks,
    /// Topics that the control loops read: not lost if no route wants them.
    loops: Option<Arc<LoopNames>>,
    counts: Counts,
    /// Lines about topics with messages that are no readings.
    dead_letters: OnceAnHour,
    /// The message that was refused last may have been received before.
    refused_may_be_copy: bool,
    /// Of the message that was answered last.
    link: Link,
    /// Of messages that are on their way to the queue.
    links: HashMap<Ticket, Link>,
    /// `None`: local clients command no alarms.
    alarms: Option<Commanded>,
}

impl GatewayIngest {
    /// `restarted` knows whose messages may be copies.
    ///
    /// # Errors
    /// Rules or a topic that are not valid, in words; `check` finds them first.
    pub(crate) fn new(routes: &[Route], restarted: DuplicateMarks) -> Result<Self, String> {
        let routes = routes.iter().map(RouteState::new).collect::<Result<_, _>>()?;
        let (link, links) = (Link::default(), HashMap::new());
        let (arrival, counts) = (ArrivalClock::default(), Counts::default());
        let (dead_letters, refused_may_be_copy) = (OnceAnHour::default(), false);
        let inner = Inner {
            arrival,
            own: None,
            routes,
            restarted,
            loops: None,
            counts,
            dead_letters,
            refused_may_be_copy,
            link,
            links,
            alarms: None,
        };
        Ok(Self {
            inner: Arc::new(Mutex::new(inner)),
            let_go: Arc::default(),
            answers_without_room: Arc::default(),
        })
    }

    /// Puts a program's own parts in the place of those of the configuration; to be called before the first message.
    ///
    /// # Errors
    /// A filter of a route that there is not, or that has no readings, in words.
    pub(crate) fn set_parts(
        &self,
        own: Option<OwnIngest>,
        filters: Vec<(String, Pipeline)>,
    ) -> Result<(), String> {
        let mut inner = self.lock();
        inner.own = own;
        for (filter_topic, pipeline) in filters {
            let route = inner.routes.iter_mut().find(|route| route.filter_topic == filter_topic);
            if !route.is_some_and(|route| route.set_filter(pipeline)) {
                return Err(format!("no route with readings has match = \"{filter_topic}\", to be filtered"));
            }
        }
        Ok(())
    }

    /// Replaces what knows whose messages may be copies; to be called before the first message for a route.
    pub(crate) fn set_duplicate_marks(&self, restarted: DuplicateMarks) {
        self.lock().restarted = restarted;
    }

    /// There are control loops, which read some of the messages.
    pub(crate) fn beside(&self, loops: Arc<LoopNames>) {
        self.lock().loops = Some(loops);
    }

    /// Returns whether a route takes messages on this topic.
    pub(crate) fn routes(&self, topic: &str) -> bool {
        self.lock().routes.iter().any(|route| matches(&route.filter_topic, topic))
    }

    /// Lane of the messages on this topic; `None` if no route takes them.
    pub(crate) fn lane_of(&self, topic: &str) -> Option<u8> {
        let inner = self.lock();
        inner.routes.iter().find(|route| matches(&route.filter_topic, topic)).map(|route| route.lane)
    }

    /// Rows of what became due by itself, and the receipts that depend on them. `is_asked_for`: a publisher stands still
    /// until receipts come, so stages let go what they can.
    pub(crate) fn tick(&self, now: Now, is_asked_for: bool) -> (Vec<Row>, Link) {
        let (mut rows, mut link) = (Vec::new(), Link::default());
        let mut inner = self.lock();
        let now = inner.arrival.map(now);
        for route in &mut inner.routes {
            let (more, depends) = route.tick(now, is_asked_for);
            rows.extend(more);
            link.join(depends);
        }
        inner.tell_alarms();
        (rows, link)
    }

    /// In how many ms [`tick`](Self::tick) has something to do.
    pub(crate) fn due_in_ms(&self, now: Now) -> Option<u64> {
        let mut inner = self.lock();
        let now = inner.arrival.map(now);
        inner.readings().filter_map(|readings| readings.due_in_ms(now)).min()
    }

    /// From now on no receipt waits for a stage; those that do are due.
    pub(crate) fn stop_holding(&self) {
        let mut inner = self.lock();
        inner.routes.iter_mut().filter_map(|route| route.readings.as_mut()).for_each(Readings::stop_holding);
    }

    /// Rows of all that stages hold: nothing keeps it over a stop.
    pub(crate) fn flush(&self) -> (Vec<Row>, Link) {
        let (mut rows, mut link) = (Vec::new(), Link::default());
        for route in &mut self.lock().routes {
            let (more, depends) = route.flush();
            rows.extend(more);
            link.join(depends);
        }
        (rows, link)
    }

    /// Returns whether a receipt waits for a stage.
    pub(crate) fn withholds(&self) -> bool {
        self.withheld().messages > 0
    }

    /// Returns how much waits for stages.
    pub(crate) fn withheld(&self) -> Extent {
        self.lock().readings().map(Readings::withheld).fold(Extent::default(), Extent::and)
    }

    /// Has `intake` commit, for a publisher that stands still until receipts come. If they wait for stages, those let go first.
    pub(crate) fn commit(&self, intake: &Intake) {
        match self.withholds() {
            true => self.let_go.notify_one(),
            false => intake.commit(),
        }
    }

    /// Until stages have to let go.
    pub(crate) async fn let_go_is_asked_for(&self) {
        self.let_go.notified().await;
    }

    /// Counter of answers to commands of local clients that found no room on their way to the hub, since the start.
    pub(crate) fn answers_without_room(&self) -> &Arc<AtomicU64> {
        &self.answers_without_room
    }

    /// The receipts that depend on the rows of the last answer; whoever has no tickets asks at once.
    pub(crate) fn take_link(&self) -> Link {
        std::mem::take(&mut self.lock().link)
    }

    /// As [`take_link`](Self::take_link) for an answer that has got a ticket.
    pub(crate) fn take_link_of(&self, ticket: Ticket) -> Link {
        self.lock().links.remove(&ticket).unwrap_or_default()
    }

    pub(crate) fn counts(&self) -> Counts {
        let inner = self.lock();
        let mut counts = inner.counts.clone();
        inner.readings().filter_map(Readings::stats).for_each(|stats| counts.add(&stats));
        counts
    }

    /// Figures of each route since the start, in their order.
    pub(crate) fn route_figures(&self) -> Vec<RouteFigures> {
        self.lock().routes.iter().map(RouteState::figures).collect()
    }

    /// Whether the wall clock is known to be right; it is not before this is called.
    pub(crate) fn trust_clock(&self, is_trusted: bool) {
        let mut inner = self.lock();
        let readings = inner.routes.iter_mut().filter_map(|route| route.readings.as_mut());
        readings.for_each(|readings| readings.trust_clock(is_trusted));
    }

    /// A panic while it was held would have ended the process' only thread.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ingest for GatewayIngest {
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer {
        self.lock().ingest(now, message)
    }

    fn on_ticket(&mut self, ticket: Ticket) {
        let mut inner = self.lock();
        let link = std::mem::take(&mut inner.link);
        if !link.is_empty() {
            inner.links.insert(ticket, link);
        }
    }

    fn dead_letter(&mut self, message: &Inbound, reason: ReasonCode) -> Row {
        let mut row = message.dead_letter(reason);
        row.possible_duplicate |= self.lock().refused_may_be_copy;
        row
    }

    fn lane(&self, message: &Inbound) -> Option<u8> {
        let topic = message.topic.as_str();
        // A command does not wait for room: what is obeyed later than it was given is worse than what is refused.
        if self.is_alarm_command(topic) { None } else { self.lane_of(topic) }
    }
}

impl Inner {
    /// Answer of the program's own ingest; `None` leaves the message to the routes.
    fn own_answer(&mut self, now: Now, message: &Inbound) -> Option<Answer> {
        let mut answer = self.own.as_mut()?.decide(now, message)?;
        let may_be_copy = message.dup || self.restarted.may_repeat(now, &message.client);
        match &mut answer {
            Answer::Store(rows) | Answer::Withhold(rows) => {
                rows.iter_mut().for_each(|row| row.possible_duplicate |= may_be_copy);
            }
            Answer::Absorb => {}
            Answer::Refuse(_) => self.refused_may_be_copy = may_be_copy,
        }
        Some(answer)
    }

    fn readings(&self) -> impl Iterator<Item = &Readings> {
        self.routes.iter().filter_map(|route| route.readings.as_ref())
    }

    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer {
        let (now, topic) = (self.arrival.map(now), message.topic.as_str());
        if let Some(command) = self.alarm_command_of(topic) {
            return self.alarm_command(now, command, message);
        }
        if let Some(answer) = self.own_answer(now, message) {
            return answer;
        }
        let Some(route) = self.routes.iter_mut().find(|route| matches(&route.filter_topic, topic)) else {
            if self.loops.as_ref().is_none_or(|loops| !loops.take(topic)) {
                self.counts.unrouted += 1;
                tracing::debug!(topic, "no route");
            }
            return Answer::Absorb;
        };
        route.count();
        let may_be_copy = message.dup || self.restarted.may_repeat(now, &message.client);
        let taken = match &mut route.readings {
            None => route.raw(message).map(|row| (vec![row], Link::default())),
            Some(readings) => match readings.take_in(now, topic, &message.payload, may_be_copy) {
                Ok(taken) => {
                    self.counts.empty += u64::from(taken.is_of_none);
                    Ok(route.rows(taken))
                }
                Err(error) => {
                    self.counts.undecodable += 1;
                    if self.dead_letters.may_say(now.up_ms, topic) {
                        tell_dead_letter(topic, &error, &message.payload);
                    }
                    Err(ReasonCode::PAYLOAD_FORMAT_INVALID)
                }
            },
        };
        let (mut rows, link) = match taken {
            Ok(taken) => taken,
            Err(reason) => {
                self.refused_may_be_copy = may_be_copy;
                return Answer::Refuse(reason);
            }
        };
        self.tell_alarms();
        if rows.is_empty() && link.is_empty() {
            return Answer::Absorb;
        }
        if may_be_copy {
            rows.iter_mut().for_each(|row| row.possible_duplicate = true);
        }
        let withholds = link.withholds() || rows.is_empty();
        self.link = link;
        if withholds { Answer::Withhold(rows) } else { Answer::Store(rows) }
    }
}

/// Bytes of a payload that are shown.
const SHOWN_BYTES: usize = 40;

fn tell_dead_letter(topic: &str, error: &DecodeError, payload: &[u8]) {
    let error = error.to_string();
    let begins = String::from_utf8_lossy(payload.get(..SHOWN_BYTES).unwrap_or(payload));
    tracing::warn!(topic = %format_args!("\"{}\"", Escaped(topic)), error = %format_args!("\"{}\"", Escaped(&error)), begins = %format_args!("\"{}\"", Escaped(&begins)), "not readings: goes to dead-letter/TOPIC as it came");
}

#[cfg(test)]
mod change_tests;
#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod stop_tests;
#[cfg(test)]
mod tests;
