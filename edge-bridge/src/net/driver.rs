//! Driver: the task of a link, which carries inputs, outputs, timers and events between the core, the socket and the application. It decides
//! nothing.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::LinkCore;
use super::clock::Clock;
use super::closing::Closing;
use super::connection_io::{Moved, Socket};
use super::dial::{DialError, Dialed, Dialer};
use super::event_log::EventLog;
use super::hub_address::Target;
use super::operator_requests::OperatorRequests;
use super::renewal_watch::RenewalWatch;
use super::request::Request;
use super::subscriptions::commands::Acks;
use super::subscriptions::router::Router;
use super::tls::renewal::TlsRenewal;
use super::tls::renewal::timetable::{CALM_WITHIN_MS, Found};
use super::unsubscribing::Unsubscribing;
use super::waits::{Pending, done, moved, timer};
use crate::bridge::{Event, Input, Output, Stats, UplinkEvent};
use crate::wire::{ReasonCode, Subscription, Utf8};

/// Shortest time between two publications of the statistics, in milliseconds; a change of the link's state is published at once.
const STATUS_EVERY_MS: u64 = 200;

pub(super) struct Driver {
    pub(super) core: LinkCore,
    pub(super) dialer: Dialer,
    /// Addresses of the hub; at least one.
    pub(super) targets: Vec<Target>,
    pub(super) clock: Clock,
    pub(super) router: Router,
    pub(super) acks: Arc<Acks>,
    pub(super) wake: Arc<Notify>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) status: watch::Sender<Stats>,
    pub(super) status_at_ms: u64,
    pub(super) socket: Option<Socket>,
    pub(super) dialing: Pending<Result<Dialed, DialError>>,
    /// Probe of another address beside the connection, if one is under way.
    pub(super) probing: Pending<bool>,
    pub(super) renewal_watch: RenewalWatch,
    pub(super) log: EventLog,
    pub(super) operator_requests: OperatorRequests,
    pub(super) unsubscribing: Unsubscribing,
    pub(super) closing: Closing,
    /// Task of the spool, which ends after the driver; `None` if there is none.
    pub(super) beside: Option<JoinHandle<()>>,
}

enum Woken {
    Dialed(Result<Dialed, DialError>),
    Moved(Moved),
    Probed(bool),
    /// The certificate was looked at.
    Looked(Found),
    Wake,
    Request(Option<Request>),
    Timer,
}

impl Driver {
    pub(super) async fn run(mut self) {
        self.core.start(self.clock.now());
        self.perform().await;
        while !self.closing.is_due(self.clock.now().up_ms, || self.core.is_drained()) {
            match self.wait().await {
                Woken::Dialed(Ok(Dialed { stream, password })) => {
                    self.dialing = None;
                    self.socket = Some(Socket::new(stream, self.dialer.wire_bytes.carried.clone()));
                    if let Some(password) = password {
                        self.core.set_password(password);
                    }
                    self.core.handle_input(self.clock.now(), Input::Dialed);
                }
                Woken::Dialed(Err(error)) => self.not_dialed(&error),
                Woken::Moved(Moved::Read) => self.received(false).await,
                Woken::Moved(Moved::Wrote { bytes, waited }) => {
                    let input = Input::Written { bytes: bytes as u64, waited };
                    self.core.handle_input(self.clock.now(), input);
                    continue;
                }
                Woken::Moved(Moved::Ended(why)) => {
                    self.received(true).await;
                    if self.socket.take().is_some() {
                        self.core.handle_input(self.clock.now(), Input::HungUp(why));
                    }
                }
                Woken::Probed(is_reachable) => {
                    self.probing = None;
                    self.core.handle_input(self.clock.now(), Input::Probed { is_reachable });
                }
                Woken::Looked(found) => self.renewal_watch.on_looked(self.clock.now().up_ms, found),
                Woken::Wake => self.woken(),
                Woken::Timer => {
                    let now = self.clock.now();
                    self.router.on_timeout(now.up_ms);
                    self.answer_commands();
                    self.core.handle_timeout(now);
                }
                Woken::Request(Some(Request::Subscribe { filters, reply })) => {
                    filters.iter().for_each(|filter| self.subscribe(filter));
                    let filters = filters.into_iter().map(|subscription| subscription.filter);
                    // If nobody waits for the answer, the subscription is dropped with it.
                    let _ = reply.send(self.router.subscribe(filters));
                }
                Woken::Request(Some(Request::AddFilter { filter, queue, reply })) => {
                    let is_ours = self.router.has(&queue);
                    if is_ours {
                        self.subscribe(&filter);
                        self.router.add(filter.filter, queue);
                    }
                    let _ = reply.send(is_ours);
                }
                Woken::Request(Some(Request::Unsubscribe { filters, reply })) => {
                    self.unsubscribe(filters, reply);
                }
                Woken::Request(Some(Request::ByHand(ask))) => {
                    self.operator_requests.ask(self.clock.now(), &mut self.core, ask);
                }
                Woken::Request(Some(Request::LookAtCertificate)) => self.renewal_watch.ask(),
                Woken::Request(Some(Request::Close { limit, reply })) => {
                    self.closing.request(self.clock.now().up_ms, limit, reply);
                    // What waits goes out now, on a connection that ends anyway.
                    self.core.keep_connection(self.clock.now());
                }
                Woken::Request(None) => break,
            }
            self.perform().await;
        }
        self.end().await;
    }

    fn not_dialed(&mut self, error: &DialError) {
        self.dialing = None;
        let why = error.to_string();
        let input = if error.is_refusal() { Input::DialRefused(why) } else { Input::DialFailed(why) };
        self.core.handle_input(self.clock.now(), input);
    }

    async fn wait(&mut self) -> Woken {
        let now_ms = self.clock.now().up_ms;
        let status_ms = self.status_is_due_later().then_some(self.status_at_ms + STATUS_EVERY_MS);
        let reads_again_ms = self.router.reads_again_ms(now_ms);
        let timeouts = [
            self.core.next_deadline(),
            self.router.next_deadline(),
            self.closing.next_deadline(),
            self.renewal_watch.next_deadline(),
            status_ms,
            reads_again_ms,
        ];
        let due_ms = timeouts.into_iter().flatten().min();
        // A deadline that stays in the past must not spin.
        let due = self.clock.at(due_ms.unwrap_or(now_ms + 60_000).max(now_ms + 1));
        tokio::select! {
            dialed = done(&mut self.dialing) => Woken::Dialed(dialed),
            moved = moved(&mut self.socket, reads_again_ms.is_none()) => Woken::Moved(moved),
            is_reachable = done(&mut self.probing) => Woken::Probed(is_reachable),
            found = self.renewal_watch.looked() => Woken::Looked(found),
            () = self.wake.notified() => Woken::Wake,
            request = self.requests.recv() => Woken::Request(request),
            () = timer(due) => Woken::Timer,
        }
    }

    /// Passes received bytes to the core. With `has_ended` also while reading is paused, because a PUBACK that came on this connection cannot
    /// come on another.
    async fn received(&mut self, has_ended: bool) {
        loop {
            let Some(socket) = &mut self.socket else { return };
            if !has_ended && self.router.reads_again_ms(self.clock.now().up_ms).is_some() {
                socket.read_later();
                return;
            }
            let before = socket.received.len();
            self.core.handle_input(self.clock.now(), Input::Bytes(&mut socket.received));
            let shorter = socket.received.len() < before;
            self.perform().await;
            if !shorter {
                return;
            }
        }
    }

    fn woken(&mut self) {
        self.answer_commands();
        self.core.handle_input(self.clock.now(), Input::Rows);
    }

    /// Subscribes to a filter for the application. Messages left by an earlier subscription go to the new one, in order.
    fn subscribe(&mut self, wanted: &Subscription) {
        self.answer_commands();
        let now = self.clock.now();
        if self.router.is_leaving(&wanted.filter) {
            self.core.renew(now, &wanted.filter);
        }
        self.core.subscribe_with(now, wanted.clone());
    }

    fn unsubscribe(&mut self, mut filters: Vec<Utf8>, reply: oneshot::Sender<()>) {
        let now = self.clock.now();
        filters.retain(|filter| !self.router.has_filter(filter));
        filters.iter().for_each(|filter| self.core.unsubscribe(now, filter));
        self.unsubscribing.add(filters, reply);
    }

    /// Passes the application's acknowledgements, and changes of its subscriptions, to the core.
    fn answer_commands(&mut self) {
        let now = self.clock.now();
        for filter in self.router.tidy(now.up_ms) {
            self.core.unsubscribe(now, &filter);
        }
        self.acknowledge();
        self.take_in_held();
        self.router.tidy_held(|handle| self.core.may_come_again(handle));
        if self.router.wants_redial() {
            self.core.redial(now, "messages that had no room are asked for again");
        }
    }

    fn acknowledge(&mut self) {
        let now = self.clock.now();
        for handle in self.acks.take() {
            if self.core.ack(now, handle, ReasonCode::SUCCESS).is_err() {
                tracing::debug!("a message was done after its connection was gone; the hub sends it again");
            }
        }
    }

    /// Tells the session which messages of QoS 2 the application has.
    fn take_in_held(&mut self) {
        for handle in self.router.take_newly_held() {
            self.core.take_in(handle);
        }
    }

    /// Carries out the outputs of the core.
    async fn perform(&mut self) {
        self.replace_if_renewed();
        loop {
            self.put_out().await;
            if !self.operator_requests.move_copies(self.clock.now(), &mut self.core) {
                break;
            }
        }
        self.unsubscribing.reply(|filter| self.core.is_unsubscribing(filter));
        self.publish_status();
    }

    /// Replaces the connection if it shows a certificate that was renewed since, and is to last.
    fn replace_if_renewed(&mut self) {
        let now = self.clock.now();
        let is_due = self.renewal_watch.turn(now.up_ms, self.core.link().is_connected(), &self.dialer);
        if is_due && self.closing.next_deadline().is_none() {
            self.core.replace_connection(now, CALM_WITHIN_MS, "the link's certificate was renewed");
        }
    }

    async fn put_out(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Dial { address } => {
                    let dialer = self.dialer_to(address);
                    self.log.set_hub(&dialer.target);
                    self.dialing = Some(Box::pin(dialer.dial()));
                }
                Output::Probe { address } => {
                    self.probing = Some(Box::pin(self.dialer_to(address).reaches()));
                }
                Output::Transmit(bytes) => {
                    if let Some(socket) = &mut self.socket {
                        socket.send(&bytes);
                    }
                }
                Output::Hangup => {
                    self.probing = None;
                    self.router.on_hangup();
                    if self.core.has_given_up() {
                        self.dialer.renewal.iter().for_each(TlsRenewal::on_silent);
                    }
                    match self.socket.take() {
                        Some(socket) if self.core.has_given_up() => socket.abort(),
                        Some(socket) => socket.hang_up().await,
                        None => {}
                    }
                }
                Output::Event(event) => self.on_event(event),
            }
        }
    }

    fn dialer_to(&self, address: usize) -> Dialer {
        let mut dialer = self.dialer.clone();
        if let Some(target) = self.targets.get(address) {
            dialer.target = target.clone();
        }
        dialer
    }

    fn on_event(&mut self, event: Event) {
        let now_ms = self.clock.now().up_ms;
        self.log.say(now_ms, &event);
        match event {
            Event::Connected { session_present } => {
                if !session_present {
                    self.router.on_session_lost();
                }
                self.dialer.failed_dials.on_accepted();
                self.dialer.renewal.iter().for_each(TlsRenewal::on_accepted);
            }
            Event::Disconnected { .. } => self.dialer.renewal.iter().for_each(TlsRenewal::on_ended),
            Event::OtherVersion(_) | Event::BridgeBitRefused | Event::WillRefused => {
                self.dialer.failed_dials.on_other_connect();
                self.dialer.renewal.iter().for_each(TlsRenewal::on_other_connect);
            }
            Event::Message { publish, ack } => {
                self.router.deliver(now_ms, &publish, ack);
                self.take_in_held();
            }
            Event::Repeated { publish, ack, earlier } => {
                self.router.repeat(now_ms, &publish, ack, earlier);
                self.take_in_held();
            }
            // An application may wait for this number alone.
            Event::SubscriptionRefused(_) => self.status_at_ms = 0,
            Event::Uplink(UplinkEvent::ByHand { count, left_out, .. }) => {
                self.operator_requests.over(count, left_out, self.core.spool().in_place_reason());
            }
            _ => {}
        }
    }

    async fn stop(&mut self) {
        self.dialing = None;
        // The request to close may overtake acknowledgements that were given before it.
        self.acknowledge();
        self.core.stop(self.clock.now());
        self.perform().await;
        self.status.send_replace(self.stats());
    }

    /// Stops, waits for the spool's task to end, and tells those that wait for it.
    async fn end(mut self) {
        self.stop().await;
        let Self { core, beside, closing, .. } = self;
        let undelivered = core.undelivered();
        drop(core);
        if let Some(task) = beside
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the spool's task");
        }
        closing.tell(undelivered);
    }

    fn publish_status(&mut self) {
        let now_ms = self.clock.now().up_ms;
        let changed = self.status.borrow().link != self.core.link();
        if changed || now_ms.saturating_sub(self.status_at_ms) >= STATUS_EVERY_MS {
            self.status_at_ms = now_ms;
            self.status.send_replace(self.stats());
        }
    }

    /// Returns whether the published statistics are out of date. Compares all numbers, because any of them may be the only one that changes.
    fn status_is_due_later(&self) -> bool {
        *self.status.borrow() != self.stats()
    }

    fn stats(&self) -> Stats {
        let mut stats = self.core.stats();
        if self.dialer.tls.is_some() {
            stats.tls_bytes = self.dialer.wire_bytes.added();
        }
        stats.dropped_qos0 = self.router.dropped_qos0();
        stats.unclaimed = self.router.nobodys();
        self.dialer.renewal.iter().for_each(|renewal| renewal.tell(&mut stats));
        stats
    }
}
