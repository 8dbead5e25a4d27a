//! One history as it happens: the gateway's process, a real Mosquitto on each side, a line between them, publishers.

mod clocks;
mod refusals;
mod tls;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::judge::judge;
use super::plan::{Configuration, Plan, Refusal, Step};
use super::reader::{PROBE, read};
use super::record::{Message, Records, Run};
use super::support::gateway::Gateway;
use super::support::mosquitto::{Arrived, Mosquitto, Subscriber, publish};
use super::support::publisher::Publisher;
use super::support::relay::Relay;
use super::support::wall_clock::WallClock;
use super::support::{free_port, wait_until};
use super::traffic::Traffic;

/// Until what was sent is acknowledged, handed over and read, once nothing fails any more.
const DRAIN_S: u64 = 30;

struct World<'a> {
    plan: &'a Plan,
    dir: &'a Path,
    hub: Mosquitto,
    hub_lines: String,
    /// Server that the sensors publish to, in place of the gateway.
    _local: Option<Mosquitto>,
    listen: SocketAddr,
    wan: Relay,
    gateway: Gateway,
    /// Offset of its wall clock from the machine's.
    offset_ms: i64,
    run: usize,
    publishers: Vec<Publisher>,
    /// PUBACKs of each publisher that were noted.
    noted: Vec<usize>,
    subscriber: Subscriber,
    /// Messages that came before the hub was killed.
    earlier: Vec<Vec<Arrived>>,
    probes: u64,
    traffic: Traffic,
    records: Records,
}

/// Plays the history in the folder, and returns its records.
pub(crate) fn play(plan: &Plan, dir: &Path) -> Records {
    let mut hub_lines = format!(
        "persistence true\npersistence_location {}/\nuser root\nautosave_interval 1800\n\
         max_inflight_messages 0\nmax_queued_messages 0\n",
        dir.display()
    );
    if plan.is_refused {
        hub_lines.push_str(&refusals::lines(dir));
    }
    let encrypted = plan.tls.then(free_port);
    if let Some(address) = encrypted {
        hub_lines.push_str(&tls::listener(dir, address));
    }
    let hub = Mosquitto::start(dir, &hub_lines);
    let local =
        plan.behind_broker.then(|| Mosquitto::start(dir, "max_inflight_messages 0\nmax_queued_messages 0"));
    let listen = local.as_ref().map_or_else(free_port, |local| local.address);
    let wan = Relay::start(encrypted.unwrap_or(hub.address));
    let subscriber = Subscriber::start(hub.address, "#");
    let offset_ms = clocks::offset_ms(plan.clock);
    let mut gateway = Gateway::new(dir, &configured(plan, 0, listen, &wan, dir));
    gateway.wall_clock = plan.clock.map(|clock| WallClock::new(dir, offset_ms, clock.is_synced));
    let publishers: Vec<Publisher> = plan
        .windows
        .iter()
        .enumerate()
        // The last one is beside the others.
        .chain([(plan.windows.len(), &50)])
        .map(|(n, window)| Publisher::new(listen, &format!("publisher{n}"), *window))
        .collect();
    let limited = plan.steps.iter().any(|step| matches!(step, Step::Refuse(Refusal::Size(_))));
    let (fifo, refusals, alarms) = (plan.configurations[0].fifo, plan.refusals(), plan.alarms.clone());
    let records = Records { fifo, limited, refusals, alarms, ..Records::default() };
    let mut world = World {
        plan,
        dir,
        hub,
        hub_lines,
        _local: local,
        listen,
        wan,
        gateway,
        offset_ms,
        run: 0,
        noted: vec![0; publishers.len()],
        publishers,
        subscriber,
        earlier: Vec::new(),
        probes: 0,
        traffic: Traffic::new(plan, clocks::now_ms()),
        records,
    };
    world.start();
    for step in &plan.steps {
        world.step(*step);
        world.note();
    }
    world.end()
}

/// Writes the rules of a run's configuration and returns its `gateway.toml`.
fn configured(plan: &Plan, run: usize, listen: SocketAddr, wan: &Relay, dir: &Path) -> String {
    let configuration: &Configuration = &plan.configurations[run.min(plan.configurations.len() - 1)];
    for (n, route) in configuration.routes.iter().enumerate() {
        fs::write(dir.join(format!("rules-{n}.toml")), route.rules()).unwrap();
    }
    let side = match plan.behind_broker {
        true => format!("broker = \"{listen}\"\ntopics = [\"plant/#\"]"),
        false => format!("listen = \"{listen}\""),
    };
    let hub = match plan.tls {
        true => format!("url = \"mqtts://localhost:{}\"\nca = \"ca.crt\"", wan.address.port()),
        false => format!("url = \"mqtt://{}\"", wan.address),
    };
    format!("[gateway]\nid = \"g\"\n[local]\n{side}\n[hub]\n{hub}\n{}", configuration.text())
}

impl World<'_> {
    fn step(&mut self, step: Step) {
        match step {
            Step::Send(publisher, messages) => self.send(publisher, messages),
            Step::Rest(ms) => {
                let end = Instant::now() + Duration::from_millis(ms);
                while Instant::now() < end {
                    self.publishers.iter_mut().for_each(Publisher::poll);
                }
            }
            Step::Cut => self.wan.cut(),
            Step::Mend => self.wan.mend(),
            Step::Swallow => self.wan.swallow(),
            Step::Save => {
                let saved = Command::new("kill").args(["-USR1", &self.hub.pid().to_string()]).status();
                assert!(saved.unwrap().success());
            }
            Step::HubCrash => self.crash_hub(),
            Step::Kill | Step::KillAndChange => {
                self.gateway.kill_9();
                self.restart();
            }
            Step::Stop | Step::StopAndChange => {
                self.stop();
                self.restart();
            }
            Step::Refuse(refusal) => self.refuse(Some(refusal)),
            Step::Allow => self.refuse(None),
            Step::Beside(refusal) => self.beside(refusal),
            Step::Large => self.send_large(),
            Step::Expire => self.expire(),
            Step::Clock(offset_ms) => self.step_clock(offset_ms),
        }
    }

    /// Stops where a publisher's window stays full: what takes no more is a part of some histories.
    fn send(&mut self, publisher: usize, messages: u64) {
        for _ in 0..messages {
            let sender = &mut self.publishers[publisher];
            let end = Instant::now() + Duration::from_millis(700);
            while !sender.has_room() {
                if Instant::now() > end {
                    return;
                }
                sender.poll();
            }
            let message = self.traffic.message(publisher, self.run);
            self.publish(publisher, message);
        }
    }

    fn expire(&mut self) {
        self.wan.cut();
        let (own, first) = (self.plan.windows.len(), self.records.messages.len());
        self.send(own, 5);
        self.publishers[own].settle(0, DRAIN_S);
        // `max_age` and two seconds.
        self.step(Step::Rest(4_000));
        let messages = self.records.messages[first..].iter();
        self.records.expired.extend(messages.map(|message| message.payload.clone()));
        self.wan.mend();
    }

    fn send_large(&mut self) {
        let own = self.plan.windows.len();
        if self.publishers[own].has_room() {
            let message = self.traffic.large(own, self.run);
            self.publish(own, message);
        }
    }

    fn publish(&mut self, publisher: usize, message: Message) {
        let message = Message { sent_ms: clocks::now_ms(), ahead_of_ms: self.ahead_of_ms(), ..message };
        self.publishers[publisher].publish(&message.topic, &message.payload);
        self.records.messages.push(message);
    }

    /// Notes in which run a PUBACK came.
    fn note(&mut self) {
        for (publisher, noted) in self.publishers.iter().zip(&mut self.noted) {
            for payload in &publisher.acked[*noted..] {
                let messages = &mut self.records.messages;
                let message = messages.iter_mut().rev().find(|message| message.payload == *payload).unwrap();
                message.acked = Some(self.run);
            }
            *noted = publisher.acked.len();
        }
    }

    /// Messages that the hub acknowledged and the reader does not have yet would be the hub's own loss.
    fn crash_hub(&mut self) {
        self.wan.cut();
        self.hear_all();
        self.earlier.push(self.subscriber.arrived());
        self.hub.crash();
        self.subscriber = Subscriber::start(self.hub.address, "#");
        self.wan.mend();
    }

    /// Waits until the reader has all that the hub had taken.
    fn hear_all(&mut self) {
        self.probes += 1;
        let topic = format!("{PROBE}{}", self.probes);
        publish(self.hub.address, &topic, "x");
        wait_until("the reader has all", DRAIN_S, || {
            self.subscriber.arrived().iter().any(|message| message.topic == topic)
        });
    }

    fn start(&mut self) {
        let offsets_ms = (self.offset_ms, self.offset_ms);
        self.records.runs.push(Run { offsets_ms, ..self.plan.run(self.run) });
        // A lane of ten rows lets go of ten per `batch_age`.
        self.gateway.start_within(if self.plan.rejects() { 3 * DRAIN_S } else { DRAIN_S });
    }

    fn stop(&mut self) {
        let (status, _) = self.gateway.terminate();
        if !status.success() {
            self.records.exits.push(format!("run {}: {status}", self.run));
        }
    }

    /// Under the configuration of the next run.
    fn restart(&mut self) {
        self.note();
        self.run += 1;
        let config = configured(self.plan, self.run, self.listen, &self.wan, self.dir);
        let wall_clock = self.gateway.wall_clock.take();
        self.gateway = Gateway::new(self.dir, &config);
        self.gateway.wall_clock = wall_clock;
        // A gateway that rejects is not ready while what it could not queue before the stop finds no room.
        if self.plan.rejects() {
            self.wan.mend();
            if self.plan.is_refused {
                self.refuse(None);
            }
        }
        self.start();
    }

    /// All faults are mended. Filters go with the last configuration, so that nothing is held any more.
    fn end(mut self) -> Records {
        self.wan.mend();
        if self.plan.is_refused {
            self.refuse(None);
        }
        for publisher in &mut self.publishers {
            publisher.settle(0, DRAIN_S);
        }
        self.note();
        self.records.dropped_before_last = self.dropped().unwrap_or(0);
        self.stop();
        self.restart();
        let (mut passes, mut asked) = (0, 0);
        // What was refused waits for its next attempt.
        let within_s = if self.plan.is_refused { 3 * DRAIN_S } else { DRAIN_S };
        wait_until("the queue is empty", within_s, || {
            if self.plan.retries && asked % 100 == 50 {
                self.retry();
            }
            asked += 1;
            let is_empty = self.gateway.metric("edge_queue_messages") == Some(0.0)
                && self.gateway.metric("edge_parked_messages") == Some(0.0);
            passes = if is_empty { passes + 1 } else { 0 };
            passes == 3
        });
        self.hear_all();
        // Totals are those of a commit up to a second ago; a table that the hub has lost is announced again once the hub
        // has not shown it for 10 s.
        let _ = wait_for(20_000, || judge(&self.read()).is_empty());
        if self.plan.is_refused {
            self.heals();
        }
        self.records.dropped = self.dropped().unwrap();
        self.records.in_clear = self.plan.tls && self.wan.is_clear();
        self.stop();
        self.read()
    }

    fn read(&self) -> Records {
        let mut records = Records { ended_ms: clocks::now_ms(), ..self.records.clone() };
        for arrived in self.earlier.iter().chain([&self.subscriber.arrived()]) {
            read(arrived, &mut records);
        }
        records.dropped = self.dropped().unwrap_or(self.records.dropped);
        // A local broker acknowledges what a later run of the gateway takes from it.
        let last = self.plan.behind_broker.then_some(self.run);
        records
            .messages
            .iter_mut()
            .for_each(|message| message.acked = message.acked.map(|run| last.unwrap_or(run)));
        records
    }

    fn dropped(&self) -> Option<u64> {
        let (_, page) = self.gateway.get("/metrics")?;
        let lines = page.lines().filter(|line| line.starts_with("edge_dropped_total{"));
        Some(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64)
    }
}

/// Asks until it is true, and no longer than so many milliseconds. Returns whether it was.
fn wait_for(ms: u64, mut is_true: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_millis(ms);
    loop {
        let came_true = is_true();
        if came_true || Instant::now() > end {
            return came_true;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
