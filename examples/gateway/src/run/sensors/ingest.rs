//! Ingest of the gateway: the first route whose topic filter matches a sensor's message decodes and filters it.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control_loop::mqtt::LoopNames;
use edge_bridge::Row;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::net::intake::Intake;
use edge_bridge::puback_chain::{Group, Ticket};
use edge_bridge::wire::{Publish, ReasonCode, matches};
use edge_filter::Pipeline;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;

use crate::config::Route;
use crate::run::filters::readings::Readings;
use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::log::once_an_hour::OnceAnHour;
use crate::run::replaced_parts::OwnIngest;
use crate::run::route::RouteState;
use crate::run::tap::Taps;

use super::arrival_clock::ArrivalClock;
use super::birth_requests::BirthRequests;
use super::held_receipts::{Extent, Link};
pub(in crate::run) use alarm_commands::ALARM_LANE;
use alarm_commands::Commanded;
pub(crate) use counts::Counts;
use dead_letters::TOO_LONG;
use last_answer::LastAnswer;

mod alarm_commands;
mod counts;
mod dead_letters;
mod last_answer;
mod over_restarts;
mod route_change;
mod ticks;
#[cfg(test)]
pub(crate) use alarm_commands::tests::rig as alarm_rig;

/// Ingest of the gateway, for sensors at the listener and behind a broker. Clones share the state: the listener passes messages to it, and a task
/// ticks its filters. Each clone has the last answer for itself, because callers of other threads get theirs meanwhile.
#[derive(Debug)]
pub(crate) struct GatewayIngest {
    inner: Arc<Mutex<Inner>>,
    last: LastAnswer,
    /// Notified when a publisher waits for receipts that depend on readings held in a stage.
    let_go: Arc<Notify>,
    /// Answers to commands that were meant for the hub and found no room in the queue.
    answers_without_room: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Inner {
    arrival: ArrivalClock,
    /// Ingest of an embedding program, which is called before the routes.
    own: Option<OwnIngest>,
    routes: Vec<RouteState>,
    restarted: DuplicateMarks,
    /// Topics that the control loops read. Messages there do not count as unrouted if no route matches.
    loops: Option<Arc<LoopNames>>,
    counts: Counts,
    /// Rate limit of the log lines about messages that are no readings.
    dead_letters: OnceAnHour,
    /// Number of changes of the routes.
    changes: u32,
    /// Receipts of messages that are on their way to the queue, by ticket.
    links: HashMap<Ticket, Link>,
    /// Alarm commands of local clients. `None`: they are not accepted.
    alarms: Option<Commanded>,
    birth_requests: BirthRequests,
    taps: Taps,
}

impl GatewayIngest {
    /// Creates the ingest of these routes. `restarted` decides which messages may be repetitions.
    ///
    /// # Errors
    /// Rules or a topic that are not valid, in words. The command `check` finds them earlier.
    pub(crate) fn new(routes: &[Route], restarted: DuplicateMarks) -> Result<Self, String> {
        let routes = routes.iter().map(RouteState::new).collect::<Result<_, _>>()?;
        let inner = Inner {
            arrival: ArrivalClock::default(),
            own: None,
            routes,
            restarted,
            loops: None,
            counts: Counts::default(),
            dead_letters: OnceAnHour::default(),
            changes: 0,
            links: HashMap::new(),
            alarms: None,
            birth_requests: BirthRequests::default(),
            taps: Taps::default(),
        };
        Ok(Self {
            inner: Arc::new(Mutex::new(inner)),
            last: LastAnswer::default(),
            let_go: Arc::default(),
            answers_without_room: Arc::default(),
        })
    }

    /// Replaces parts of the configuration by those of an embedding program; call it before the first message.
    ///
    /// # Errors
    /// A filter for a route that does not exist, or has no readings, in words.
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

    /// Replaces the part that decides which messages may be repetitions; call it before the first message for a route.
    pub(crate) fn set_duplicate_marks(&self, restarted: DuplicateMarks) {
        self.lock().restarted = restarted;
    }

    /// Sets the taps that messages and judgements are shown to; call it before the first message.
    pub(crate) fn set_taps(&self, taps: &Taps) {
        let mut inner = self.lock();
        inner.taps = taps.clone();
        inner.routes.iter_mut().for_each(|route| route.set_taps(taps));
    }

    /// Sets the topics that control loops read.
    pub(crate) fn beside(&self, loops: Arc<LoopNames>) {
        self.lock().loops = Some(loops);
    }

    /// Returns whether a route matches this topic.
    pub(crate) fn routes(&self, topic: &str) -> bool {
        self.lock().routes.iter().any(|route| matches(&route.filter_topic, topic))
    }

    /// Returns the lane of messages on this topic. `None`: no route matches.
    pub(crate) fn lane_of(&self, topic: &str) -> Option<u8> {
        self.lock().lane_of(topic)
    }

    /// From now on acknowledges readings without waiting for the stages that hold them, and makes all waiting receipts due. Called at a stop.
    pub(crate) fn stop_holding(&self) {
        let mut inner = self.lock();
        inner.routes.iter_mut().filter_map(|route| route.readings.as_mut()).for_each(Readings::stop_holding);
    }

    /// Returns the rows of all readings that stages hold. Called at a stop when the filters' states cannot be kept.
    pub(crate) fn flush(&self) -> (Vec<Row>, Link) {
        let (mut rows, mut link) = (Vec::new(), Link::default());
        for route in &mut self.lock().routes {
            let (more, depends) = route.flush();
            rows.extend(more);
            link.join(depends);
        }
        (rows, link)
    }

    /// Returns whether a receipt waits for a reading that a stage holds.
    pub(crate) fn withholds(&self) -> bool {
        self.withheld().messages > 0
    }

    /// Returns number and age of the messages whose receipts wait for readings in stages.
    pub(crate) fn withheld(&self) -> Extent {
        self.lock().readings().map(Readings::withheld).fold(Extent::default(), Extent::and)
    }

    /// Makes `intake` commit, for a publisher that waits for receipts. Readings in stages that receipts wait for are emitted first.
    pub(crate) fn commit(&self, intake: &Intake) {
        match self.withholds() {
            true => self.let_go.notify_one(),
            false => intake.commit(),
        }
    }

    /// Waits until a publisher waits for readings in stages.
    pub(crate) async fn let_go_is_asked_for(&self) {
        self.let_go.notified().await;
    }

    /// Returns the counter of answers to local clients' commands that were for the hub and found no room, since the start.
    pub(crate) fn answers_without_room(&self) -> &Arc<AtomicU64> {
        &self.answers_without_room
    }

    /// Takes the receipts that depend on the rows of this clone's last answer, as a caller without tickets does.
    pub(crate) fn take_link(&mut self) -> Link {
        self.last.take_link()
    }

    /// Takes the receipts of the answer with this ticket.
    pub(crate) fn take_link_of(&self, ticket: Ticket) -> Link {
        self.lock().links.remove(&ticket).unwrap_or_default()
    }

    /// Takes the end at which requests of Sparkplug births arrive. `None`: it was taken before.
    pub(crate) fn take_birth_requests(&self) -> Option<Receiver<Publish>> {
        self.lock().birth_requests.take_asked()
    }

    pub(crate) fn counts(&self) -> Counts {
        let inner = self.lock();
        let mut counts = inner.counts.clone();
        inner.readings().filter_map(Readings::stats).for_each(|stats| counts.add(&stats));
        counts
    }

    /// Sets whether the filters can rely on the wall clock. Before the first call they do not.
    pub(crate) fn trust_clock(&self, is_trusted: bool) {
        let mut inner = self.lock();
        let readings = inner.routes.iter_mut().filter_map(|route| route.readings.as_mut());
        readings.for_each(|readings| readings.trust_clock(is_trusted));
    }

    /// Locks the state. A poisoned lock is used nevertheless: a panic under it ends the part that called, and the others go on.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for GatewayIngest {
    /// Returns another handle to the same state, which has had no answer yet.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            last: LastAnswer::default(),
            let_go: self.let_go.clone(),
            answers_without_room: self.answers_without_room.clone(),
        }
    }
}

impl Ingest for GatewayIngest {
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer {
        let mut last = LastAnswer::default();
        let answer = self.lock().ingest(now, message, &mut last);
        self.last = last;
        answer
    }

    fn on_ticket(&mut self, ticket: Ticket) {
        let link = self.last.take_link();
        if !link.is_empty() {
            self.lock().links.insert(ticket, link);
        }
    }

    fn dead_letter(&mut self, message: &Inbound, reason: ReasonCode) -> Row {
        self.last.mark(message.dead_letter(reason))
    }

    fn lane(&self, message: &Inbound) -> Option<u8> {
        let topic = message.topic.as_str();
        // A command does not wait for room: what is obeyed later than it was given is worse than what is refused.
        let inner = self.lock();
        let is_command = inner.alarm_command_of(topic).is_some() || inner.is_loop_command(topic);
        if is_command { None } else { inner.lane_of(topic) }
    }

    fn lanes_version(&self) -> u32 {
        self.lock().changes
    }

    fn group(&self) -> Option<Group> {
        self.last.group()
    }
}

/// Group of the commands to filters' alarms. Messages that routes take are in the group of their lane.
const ALARM_COMMANDS: u32 = 256;
/// Group of messages of which nothing is ever stored.
const NOTHING: u32 = 257;

impl Inner {
    /// Returns the answer of the embedding program's ingest. `None` leaves the message to the routes.
    fn own_answer(&mut self, now: Now, message: &Inbound, last: &mut LastAnswer) -> Option<Answer> {
        let mut answer = self.own.as_mut()?.decide(now, message)?;
        let may_be_copy = message.dup || self.restarted.may_repeat(now, &message.client);
        match &mut answer {
            Answer::Store(rows) | Answer::Withhold(rows) => {
                rows.iter_mut().for_each(|row| row.possible_duplicate |= may_be_copy);
            }
            Answer::Absorb => {}
            Answer::Refuse(_) => last.refuse(may_be_copy, self.lane_of(message.topic.as_str())),
        }
        Some(answer)
    }

    fn lane_of(&self, topic: &str) -> Option<u8> {
        self.routes.iter().find(|route| matches(&route.filter_topic, topic)).map(|route| route.lane)
    }

    /// Returns whether a message on this topic is a command to the control loops, which got it from the listener and answer by an event.
    fn is_loop_command(&self, topic: &str) -> bool {
        self.loops.as_ref().is_some_and(|loops| loops.take_command(topic))
    }

    fn readings(&self) -> impl Iterator<Item = &Readings> {
        self.routes.iter().filter_map(|route| route.readings.as_ref())
    }

    fn ingest(&mut self, now: Now, message: &Inbound, last: &mut LastAnswer) -> Answer {
        let (now, topic) = (self.arrival.map(now), message.topic.as_str());
        self.taps.came_in(message);
        if let Some(command) = self.alarm_command_of(topic) {
            last.set_group(ALARM_COMMANDS, self.changes);
            return self.alarm_command(now, command, message, last);
        }
        last.set_group(NOTHING, self.changes);
        if self.is_loop_command(topic) {
            return Answer::Absorb;
        }
        if let Some(answer) = self.own_answer(now, message, last) {
            last.set_no_group();
            self.taps.unfiltered(topic, "decided by the program's own ingest");
            return answer;
        }
        let Some(route) = self.routes.iter_mut().find(|route| matches(&route.filter_topic, topic)) else {
            if self.loops.as_ref().is_none_or(|loops| !loops.take(topic)) {
                self.counts.unrouted += 1;
                self.taps.no_reading(topic, &"no route");
                tracing::debug!(topic, "no route");
            }
            return Answer::Absorb;
        };
        let lane = route.lane;
        last.set_group(lane.into(), self.changes);
        route.count(message.payload.len());
        let may_be_copy = message.dup || self.restarted.may_repeat(now, &message.client);
        let taken = match &mut route.readings {
            None => match route.raw(message) {
                Ok(row) => {
                    self.taps.unfiltered(topic, "the route is raw: it has no filter");
                    Ok((vec![row], Link::default()))
                }
                Err(reason) => Err((reason, TOO_LONG.to_owned())),
            },
            Some(readings) => {
                let taken = readings.take_in(now, topic, &message.payload, may_be_copy);
                if let Some(request) = readings.take_birth_request() {
                    self.birth_requests.ask(request);
                }
                match taken {
                    Ok(taken) => {
                        self.counts.empty += u64::from(taken.is_of_none);
                        self.counts.skipped += taken.skipped as u64;
                        Ok(route.rows(taken))
                    }
                    Err(error) => Err((ReasonCode::PAYLOAD_FORMAT_INVALID, error.to_string())),
                }
            }
        };
        let (mut rows, link) = match taken {
            Ok(taken) => taken,
            Err((reason, error)) => {
                last.refuse(may_be_copy, Some(lane));
                last.set_reason(&error);
                return self.refuse(now, message, reason, &error);
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
        last.set_link(link);
        if withholds { Answer::Withhold(rows) } else { Answer::Store(rows) }
    }
}

#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod route_change_tests;
#[cfg(test)]
mod stop_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tick_tests;
