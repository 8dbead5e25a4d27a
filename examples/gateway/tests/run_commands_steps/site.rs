//! A gateway between a hub and its valves, which is killed at each step of the life of a command. A step is told by what the peers see.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::hub::Hub;
use super::ledger::{Identity, Ledger, Order, response_topic};
use super::support::gateway::Gateway;
use super::support::wait_until;
use super::valve::Valve;

/// Commands of a step, each on its own topic.
pub const AT_ONCE: usize = IDENTITIES.len();
const IDENTITIES: [Identity; 3] = [Identity::CmdId, Identity::Correlation, Identity::Content];
/// Far beyond the end of a step.
const EXPIRY_S: u64 = 60;
/// Of a command that may expire while the gateway is down.
const SOON_S: u64 = 2;
/// Time for what nobody can see from outside.
const UNSEEN: Duration = Duration::from_millis(150);

/// Moment of kill -9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Before the hub has sent the commands.
    Down,
    /// At once when the hub has sent them.
    Sent,
    /// They wait for a valve, which is away.
    NoValve,
    /// They wait behind others of their topics, which the valve does not acknowledge.
    Behind,
    /// They are on their way to the valve, which does not read its socket.
    InSocket,
    /// The valve has them, and has sent no PUBACK.
    Received,
    /// The valve's PUBACKs are in the socket of the gateway, which stands still.
    PubackUnread,
    /// At once when the valve has sent its PUBACKs.
    Acknowledged,
    /// At once when the hub has its first PUBACK: the answer may be on its way, and the other commands anywhere behind the valve.
    PubackAtHub,
    /// The hub has answers and PUBACKs, and withholds its own; of Mosquitto: answers and PUBACKs are lost on the line.
    AnswerWithheld,
    /// The answers are acknowledged. A hub that forgets PUBACKs sends the commands again.
    Answered,
}

pub const STEPS: [Step; 11] = [
    Step::Down,
    Step::Sent,
    Step::NoValve,
    Step::Behind,
    Step::InSocket,
    Step::Received,
    Step::PubackUnread,
    Step::Acknowledged,
    Step::PubackAtHub,
    Step::AnswerWithheld,
    Step::Answered,
];

/// As `wait_until`, for moments of which each tenth of a millisecond counts.
#[track_caller]
fn at_once_when(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_true() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        sleep(Duration::from_micros(100));
    }
}

pub struct Site {
    pub gateway: Gateway,
    pub hub: Box<dyn Hub>,
    pub valve: Valve,
    /// A valve of other topics, which has not come yet.
    pub late_valve: Valve,
    /// A valve that acknowledges nothing until the gateway is killed.
    short_valve: Valve,
    pub kills: usize,
    orders: Vec<Order>,
    dir: tempfile::TempDir,
}

impl Site {
    pub fn start(hub: impl Fn(&Path) -> Box<dyn Hub>, delivery: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hub = hub(dir.path());
        let rule =
            format!("[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\ndelivery = \"{delivery}\"\n");
        let tables = format!("{rule}[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n");
        let (gateway, listen) = Gateway::started(dir.path(), hub.address(), &tables);
        // What comes twice at most once would come twice without a session, too.
        let has_session = delivery == "at-most-once";
        let valve = Valve::start(listen, "valve", "cmd/valve/#", has_session);
        let late_valve = Valve::away(listen, "late valve", "cmd/late/#", has_session);
        let short_valve = Valve::start(listen, "short valve", "cmd/short/#", has_session);
        wait_until("the gateway is subscribed", 20, || hub.is_subscribed());
        Self { gateway, hub, valve, late_valve, short_valve, kills: 0, orders: Vec::new(), dir }
    }

    /// Sends commands on the first topics of `kind`.
    pub fn send(&mut self, name: &str, kind: &str, count: usize, expiry_s: u64) {
        for (n, identity) in IDENTITIES.into_iter().take(count).enumerate() {
            let (id, topic) = (format!("{name}-{n}"), format!("site7/cmd/{kind}/{n}"));
            self.order(Order::new(&id, &topic, expiry_s, identity));
        }
    }

    pub fn kill(&mut self) {
        self.gateway.kill_9();
        self.kills += 1;
    }

    pub fn ledger(&self) -> Ledger {
        Ledger {
            orders: self.orders.clone(),
            movements: [&self.valve, &self.late_valve, &self.short_valve].map(Valve::movements).concat(),
            answers: self.hub.answers(),
            dropped: self.hub.dropped(),
        }
    }

    /// Removes the file of identities, of a gateway that is down.
    pub fn forget_identities(&self) {
        fs::remove_file(self.dir.path().join("state/commands")).unwrap();
    }

    /// Number of commands that the file of identities says are begun: lines `SUM S KEY …`, with a sum of eight digits.
    pub fn begun(&self) -> usize {
        let lines = fs::read_to_string(self.dir.path().join("state/commands")).unwrap_or_default();
        let begun = lines.lines().filter(|line| line.get(8..11) == Some(" S "));
        // The first write says some twice.
        begun.filter_map(|line| line.get(11..43)).collect::<BTreeSet<_>>().len()
    }

    /// The valve has the first commands of this name.
    #[track_caller]
    pub fn wait_for_movements(&self, name: &str, count: usize) {
        at_once_when(&format!("the valve has {name}"), || {
            let moved = self.valve.movements();
            (0..count).all(|n| moved.iter().any(|movement| movement.id == format!("{name}-{n}")))
        });
    }

    /// Each command of this name has `copies` answers, or more.
    #[track_caller]
    pub fn wait_for_answers(&self, name: &str, count: usize, copies: usize) {
        wait_until(&format!("answers to {name}"), 40, || {
            let answers = self.hub.answers();
            let of = |topic: &str| answers.iter().filter(|answer| answer.topic == topic).count();
            (0..count).all(|n| of(&response_topic(&format!("{name}-{n}"))) >= copies)
        });
    }

    /// A command goes through on each topic: a copy of an earlier one would be ahead of it.
    #[track_caller]
    pub fn flush(&mut self, name: &str, kind: &str, count: usize) {
        wait_until("the hub has no command left", 40, || self.hub.is_empty());
        let name = format!("{name}-end");
        self.send(&name, kind, count, EXPIRY_S);
        self.wait_for_answers(&name, count, 1);
        wait_until("the hub has no command left", 40, || self.hub.is_empty());
    }

    /// Sends two commands of one topic that soon expire: the valve gets the first, and the second waits behind it. At the hub they are behind those
    /// of the step, whose PUBACKs would wait for them else.
    fn send_short(&mut self, name: &str) {
        self.short_valve.falls_mute();
        for (n, identity) in IDENTITIES.into_iter().take(2).enumerate() {
            let id = format!("{name}-short-{n}");
            self.order(Order::new(&id, "site7/cmd/short/0", SOON_S, identity));
        }
    }

    fn order(&mut self, order: Order) {
        self.hub.send(&order);
        self.orders.push(Order { sent: Instant::now(), ..order });
    }

    /// Brings commands called `name` to the step, and kills the gateway there, with this delay where the moment is not a state.
    fn kill_at(&mut self, step: Step, name: &str, delay: Duration) {
        if step == Step::Down {
            self.kill();
            self.send(name, "valve", AT_ONCE, EXPIRY_S);
            return self.send_short(name);
        }
        let acknowledged = self.hub.acknowledged() + AT_ONCE;
        match step {
            Step::Down | Step::Sent | Step::Answered => {}
            Step::NoValve => self.valve.leaves(),
            Step::InSocket => self.valve.shuts_its_eyes(),
            _ => self.valve.falls_mute(),
        }
        if step == Step::Sent {
            self.send_short(name);
        }
        self.send(name, "valve", AT_ONCE, EXPIRY_S);
        match step {
            Step::Down => {}
            Step::Sent => sleep(delay),
            Step::NoValve | Step::InSocket => {
                self.send_short(name);
                sleep(UNSEEN);
            }
            Step::Answered => {
                self.wait_for_answers(name, AT_ONCE, 1);
                wait_until("the hub has PUBACKs", 20, || self.hub.acknowledged() >= acknowledged);
                self.send_short(name);
            }
            Step::Behind => {
                self.wait_for_movements(name, AT_ONCE);
                self.send(&format!("{name}-second"), "valve", AT_ONCE, EXPIRY_S);
                self.send_short(name);
                sleep(UNSEEN);
            }
            Step::Received => {
                self.wait_for_movements(name, AT_ONCE);
                self.send_short(name);
            }
            Step::PubackUnread => {
                self.wait_for_movements(name, AT_ONCE);
                self.send_short(name);
                self.gateway.signal("STOP");
                self.valve.acknowledges();
            }
            Step::Acknowledged => {
                self.wait_for_movements(name, AT_ONCE);
                self.send_short(name);
                self.valve.acknowledges();
                sleep(delay);
            }
            Step::PubackAtHub => {
                self.wait_for_movements(name, AT_ONCE);
                self.send_short(name);
                self.valve.acknowledges();
                let before = acknowledged - AT_ONCE;
                at_once_when("the hub has a PUBACK", || self.hub.acknowledged() > before);
            }
            Step::AnswerWithheld => {
                self.wait_for_movements(name, AT_ONCE);
                self.send_short(name);
                self.withhold(name, acknowledged);
            }
        }
        self.kill();
    }

    /// The valve acknowledges, and answers wait for their PUBACKs.
    fn withhold(&mut self, name: &str, acknowledged: usize) {
        let delivered = || self.gateway.metric("edge_commands_total{result=\"delivered\"}").unwrap();
        let before = delivered();
        self.hub.withhold();
        self.valve.acknowledges();
        wait_until("the queue has the answers", 20, || {
            let waiting = self.gateway.metric("edge_queue_messages").unwrap();
            delivered() >= before + AT_ONCE as f64 && waiting >= AT_ONCE as f64
        });
        if self.hub.hears_while_it_withholds() {
            self.wait_for_answers(name, AT_ONCE, 1);
            wait_until("the hub has PUBACKs", 20, || self.hub.acknowledged() >= acknowledged);
        }
    }

    /// Kills the gateway at the step, does something while it is down, and starts it again. Returns once all has ended.
    #[track_caller]
    pub fn play(&mut self, step: Step, name: &str, delay: Duration, meanwhile: impl FnOnce(&Self)) {
        let acknowledged = self.hub.acknowledged();
        self.kill_at(step, name, delay);
        meanwhile(self);
        if step == Step::Answered {
            self.hub.forget_pubacks_since(acknowledged);
        }
        self.valve.recovers();
        self.short_valve.recovers();
        let subscriptions = self.valve.subscriptions();
        self.gateway.start();
        if step == Step::NoValve {
            self.valve.comes();
        } else {
            self.valve.is_subscribed_after(subscriptions);
        }
        if step == Step::AnswerWithheld && self.hub.hears_while_it_withholds() {
            self.wait_for_answers(name, AT_ONCE, 2);
        }
        self.hub.release();
        self.wait_for_answers(name, AT_ONCE, 1);
        if step == Step::Behind {
            self.wait_for_answers(&format!("{name}-second"), AT_ONCE, 1);
        }
        self.flush(name, "valve", AT_ONCE);
    }
}
