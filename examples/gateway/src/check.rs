//! `edge-gateway check FILE`: what is wrong, or what the configuration means.

use std::fmt;
use std::time::Duration;

use edge_bridge::bridge::idle_ping_every_ms;
use edge_filter::{DropReason, LossBound, Pipeline, TimeGuard};
use edge_queue::ClockSync;

use crate::config::units::{human_bytes, human_duration};
use crate::config::{Config, Control, Format, Local, OnFull, Protocol, Route};
use crate::run::store;

/// The site the prediction is made for: the field's usual load.
const MESSAGES_PER_SECOND: u64 = 30;
const MESSAGE_BYTES: u64 = 200;
/// Bytes of a row beside its payload: topic, times, frame share.
const ROW_OVERHEAD_BYTES: u64 = 60;
/// Binary, runtime, one queue segment's index, socket buffers: measured idle, see docs/operations.md.
const RAM_BASE_BYTES: u64 = 8 << 20;
/// Messages received from a local broker and not yet acknowledged.
const RAM_UNACKED_BYTES: u64 = 4 << 20;
/// Messages between the listener and the queue, and receipts that wait.
const RAM_INTAKE_BYTES: u64 = 6 << 20;
/// Bytes that all connections read at a time.
const RAM_READING_BYTES: u64 = 4 << 20;
/// A connection that holds nothing, its task and its session.
const RAM_CONNECTION_BYTES: u64 = 6 << 10;
/// Messages on the way to the hub, as rows and as packets, whatever their size.
const RAM_LINK_BYTES: u64 = 4 << 20;
/// Bookkeeping of a message on the way.
const RAM_IN_FLIGHT_BYTES: u64 = 1 << 10;
/// Refused messages on the way to the disk.
const RAM_PARKING_BYTES: u64 = 1 << 20;

/// Figures of a configuration. Pure: the same configuration gives the same answer everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sizing {
    /// Longest outage before `on_full` applies.
    pub(crate) outage: Duration,
    /// Name of the limit that is reached first.
    pub(crate) reached_first: &'static str,
    /// Reserved on disk.
    pub(crate) disk_bytes: u64,
    /// Most resident memory.
    pub(crate) ram_bytes: u64,
    /// Longest a sensor waits for its PUBACK.
    pub(crate) receipt: Duration,
}

/// Computes the figures.
pub(crate) fn sizing(config: &Config) -> Sizing {
    let by_bytes = config.queue.max_bytes / (MESSAGES_PER_SECOND * (MESSAGE_BYTES + ROW_OVERHEAD_BYTES));
    let by_count = config.queue.max_messages.map(|count| count / MESSAGES_PER_SECOND);
    let by_age = config.queue.max_age.map(|age| age.as_secs());
    let limits = [(by_bytes, "max_bytes"), (by_count.unwrap_or(u64::MAX), "max_messages")];
    let limits = limits.into_iter().chain([(by_age.unwrap_or(u64::MAX), "max_age")]);
    let (seconds, reached_first) = limits.min_by_key(|(seconds, _)| *seconds).unwrap_or((0, "max_bytes"));
    let held = config.routes.iter().filter_map(|route| route.hold_max).max();
    Sizing {
        outage: Duration::from_secs(seconds),
        reached_first,
        disk_bytes: disk_bytes(config),
        ram_bytes: ram_bytes(config),
        receipt: config.queue.ack_within + held.unwrap_or_default(),
    }
}

/// Memory that the side of the sensors may hold.
fn local_ram_bytes(local: &Local) -> u64 {
    match local {
        Local::Listen { limits, .. } => {
            let connections = u64::from(limits.max_connections) * RAM_CONNECTION_BYTES;
            RAM_INTAKE_BYTES + RAM_READING_BYTES + connections + limits.max_memory + limits.max_memory / 4
        }
        Local::Broker { .. } => RAM_UNACKED_BYTES,
    }
}

/// The sum of what each part may hold. The parked rows have a queue of their own, of one lane.
fn ram_bytes(config: &Config) -> u64 {
    let queue = store::config(&config.queue);
    let parked = queue.clone().lanes(1).max_unwritten_bytes(RAM_PARKING_BYTES);
    let link = RAM_LINK_BYTES + u64::from(config.hub.window) * RAM_IN_FLIGHT_BYTES;
    RAM_BASE_BYTES + local_ram_bytes(&config.local) + queue.ram_bytes(1) + link + parked.ram_bytes(1)
}

/// Every lane reserves twice its limit and four segments of 1 MiB; lanes but the last get an eighth of the limit.
fn disk_bytes(config: &Config) -> u64 {
    let others = config.queue.lanes.len().saturating_sub(1) as u64;
    let lane = |limit: u64| 2 * limit + (4 << 20);
    lane(config.queue.max_bytes) + others * lane(config.queue.max_bytes / 8)
}

/// The report for a person, on a machine with such a wall clock.
pub(crate) struct Meaning<'a>(pub(crate) &'a Config, pub(crate) ClockSync);

impl fmt::Display for Meaning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (config, clock) = (self.0, self.1);
        let sizing = sizing(config);
        writeln!(f, "gateway       {}", config.id)?;
        match &config.local {
            Local::Listen { address, accept_control_characters, limits } => {
                writeln!(f, "local         sensors connect to {address}, MQTT 3.1.1 and 5")?;
                writeln!(
                    f,
                    "              at most {} connections, packets of {}, {} held for all of them",
                    limits.max_connections,
                    human_bytes(limits.max_packet.into()),
                    human_bytes(limits.max_memory)
                )?;
                if *accept_control_characters {
                    writeln!(
                        f,
                        "              control characters in topics are accepted: the hub may refuse them"
                    )?;
                }
            }
            Local::Broker { host, port, client_id, topics } => {
                writeln!(
                    f,
                    "local         subscribes {} at {host}:{port} as {client_id}",
                    topics.join(", ")
                )?;
            }
        }
        hub(f, config)?;
        for (index, route) in config.routes.iter().enumerate() {
            let lane = config.queue.lanes.get(usize::from(route.lane)).map_or("?", String::as_str);
            let (topics, what, qos) = (&route.filter_topic, forwarded(route), route.qos);
            writeln!(f, "route {:<8}{topics} -> {what}, QoS {qos}, lane {lane}", index + 1)?;
            rules(f, route)?;
        }
        if config.routes.iter().any(|route| route.format != Format::Raw) {
            writeln!(
                f,
                "dead letters  dead-letter/#: messages that are not readings, as they came; the hub must allow it"
            )?;
        }
        if let Some(control) = &config.control {
            loops(f, control)?;
        }
        writeln!(f, "clock         on this machine {clock}")?;
        if !clock.is_synced() {
            writeln!(
                f,
                "              until it is, no reading is judged to be ahead of it, and after a restart of the machine\n              \
                 max_age counts from that; [clock] trusted = true if it is right all the same"
            )?;
        }
        writeln!(f)?;
        writeln!(f, "At {MESSAGES_PER_SECOND} messages/s of {MESSAGE_BYTES} bytes:")?;
        writeln!(
            f,
            "  outage covered   {} ({:.1} h); reached first: {}",
            human_duration(sizing.outage),
            sizing.outage.as_secs_f64() / 3_600.0,
            sizing.reached_first
        )?;
        let then = match config.queue.on_full {
            OnFull::DropOldest => "the oldest unsent messages are given up, counted and reported",
            OnFull::DropNewest => "new messages are given up, counted and reported",
            OnFull::Reject => "new messages are not acknowledged: sensors keep them",
        };
        writeln!(f, "  then             {then}")?;
        writeln!(f, "  disk reserved    {}", human_bytes(sizing.disk_bytes))?;
        writeln!(f, "  RAM at most      {}, whatever is queued", human_bytes(sizing.ram_bytes))?;
        writeln!(
            f,
            "  PUBACK within    {} of a message, online and offline",
            human_duration(sizing.receipt)
        )?;
        writeln!(
            f,
            "  lost on power cut or kill: nothing that was acknowledged (QoS 1) and that no filter holds; QoS 0 messages"
        )?;
        writeln!(f, "                   of the last {} may be lost", human_duration(sizing.receipt))?;
        if matches!(config.local, Local::Broker { .. }) {
            writeln!(
                f,
                "  the local broker acknowledges from its own RAM: what it has not handed over is its risk"
            )?;
        }
        Ok(())
    }
}

/// Bytes of a PINGREQ with its PINGRESP: of MQTT, and with what TLS 1.3 and TCP over IPv4 put around two segments and an acknowledgement.
const PING_BYTES: u64 = 4;
const PING_WIRE_BYTES: u64 = PING_BYTES + 2 * 22 + 3 * 40;

/// Writes the hub's address, the client's names, and the price of listening there.
fn hub(f: &mut fmt::Formatter<'_>, config: &Config) -> fmt::Result {
    let hub = &config.hub;
    let version = match hub.protocol {
        Protocol::Auto => "MQTT 5, or 3.1.1 if it takes no other",
        Protocol::V5 => "MQTT 5",
        Protocol::V311 => "MQTT 3.1.1",
    };
    writeln!(f, "hub           {} as {}, {version}", hub.url, hub.client_id)?;
    if hub.protocol == Protocol::V311 {
        writeln!(
            f,
            "              its PUBACKs have no reasons: a message that the hub denies in silence, as Mosquitto does, counts as delivered"
        )?;
    }
    if let Some(credentials) = &hub.credentials {
        writeln!(f, "              user {}", credentials.user)?;
    }
    if hub.url.starts_with("mqtts://") && hub.ca.is_none() {
        writeln!(f, "              trusts the authorities of the system")?;
    }
    if config.routes.iter().any(|route| route.format == Format::Compact) {
        let every_ms = idle_ping_every_ms(u64::try_from(hub.command_within.as_millis()).unwrap_or(u64::MAX));
        let pings = 86_400_000 / every_ms.max(1);
        writeln!(
            f,
            "              subscribed there: lost links are noticed within {}; while nothing else comes a ping every\n              \
             {}, at most {} of MQTT a day, {} with TLS and TCP",
            human_duration(hub.command_within),
            human_duration(Duration::from_millis(every_ms)),
            human_bytes(pings * PING_BYTES),
            human_bytes(pings * PING_WIRE_BYTES)
        )?;
    }
    Ok(())
}

/// Returns what becomes of a route's messages.
fn forwarded(route: &Route) -> String {
    let (to, format) = (&route.to, route.format);
    if format == Format::Raw {
        return format!("{to}TOPIC, payload unchanged");
    }
    let at_most = match route.batch_max.bytes {
        Some(bytes) => human_bytes(bytes.into()),
        None => format!("{} readings", route.batch_max.readings),
    };
    format!("{to} in {format:?} batches of at most {at_most} or {}", human_duration(route.batch_age))
}

/// The readings that a time guard drops though they were acknowledged; nothing if it drops none.
struct TimeLoss<'a>(&'a TimeGuard);

impl fmt::Display for TimeLoss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, reason) in self.0.drops().enumerate() {
            f.write_str(if n == 0 { "; always lost: every reading " } else { ", " })?;
            match reason {
                DropReason::Future => {
                    let max = Duration::from_millis(self.0.max_future().unsigned_abs());
                    write!(f, "more than {} ahead of a synchronised clock", human_duration(max))?;
                }
                DropReason::DuplicateTimestamp => f.write_str("of the same time as the last one")?,
                _ => f.write_str("older than the last one")?,
            }
        }
        Ok(())
    }
}

/// Writes what each rule of a route's filter may cost: an error always, readings in a kill.
fn rules(f: &mut fmt::Formatter<'_>, route: &Route) -> fmt::Result {
    let pipeline = route.rules.as_deref().and_then(|text| Pipeline::from_toml(text).ok());
    let mut holds = false;
    for (pattern, rule) in pipeline.iter().flat_map(Pipeline::rules) {
        let (error, loss) = (rule.error_bound(), rule.reducer_loss_bound());
        holds |= loss != LossBound::Nothing;
        match route.hold_max {
            Some(_) => write!(f, "  filter {pattern}: error {error}; holds {loss}, not acknowledged")?,
            None => write!(f, "  filter {pattern}: error {error}; lost on power cut or kill: {loss}")?,
        }
        writeln!(f, "{}", TimeLoss(rule.guard()))?;
    }
    match route.hold_max {
        Some(max) => writeln!(
            f,
            "  ack_held      when_emitted: a held reading's PUBACK waits, at most {} and for the disk; nothing\n                \
             that was acknowledged is lost on power cut or kill",
            human_duration(max)
        ),
        None if holds => writeln!(
            f,
            "  ack_held      as_suppressed: a held reading is acknowledged at once, and may be lost as said"
        ),
        None => Ok(()),
    }
}

/// Writes what runs, and where it is when in doubt.
fn loops(f: &mut fmt::Formatter<'_>, control: &Control) -> fmt::Result {
    let controller = &control.loops.controller;
    writeln!(
        f,
        "control       {}: {} inputs (QoS 0), scanned every {}, watchdog {}; not a safety function",
        control.rules.display(),
        controller.inputs().len(),
        human_duration(control.period()),
        human_duration(control.watchdog()),
    )?;
    for output in controller.outputs() {
        writeln!(f, "  output        out/{} is {} when in doubt", output.name(), output.safe())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(queue: &str) -> Config {
        let text = format!(
            "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"#\"\n[queue]\n{queue}"
        );
        Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap().0
    }

    #[test]
    fn a_clock_that_nobody_keeps_is_said_with_what_it_costs() {
        let said = |clock| Meaning(&config(""), clock).to_string();
        let (kept, not_kept) = (said(ClockSync::Timesyncd), said(ClockSync::Unknown));
        assert!(
            kept.contains("\nclock         on this machine synchronised, says systemd-timesyncd\n"),
            "{kept}"
        );
        assert!(not_kept.contains("\nclock         on this machine not known to be right\n"), "{not_kept}");
        assert!(!kept.contains("[clock] trusted") && not_kept.contains("[clock] trusted = true"));
    }

    #[test]
    fn each_rule_of_a_filter_states_what_it_may_cost() {
        let mut config = config("");
        let stages = [
            "deadband = { absolute = 0.5 }",
            "swinging_door = { deviation = 0.25 }",
            "window = { width_ms = 60000, agg = \"mean\" }",
        ];
        let rule =
            |(n, stage): (usize, &&str)| format!("[[rule]]\nmatch = \"{n}/#\"\nstages = [ {{ {stage} }} ]\n");
        config.routes[0].rules = Some(stages.iter().enumerate().map(rule).collect());
        let text = Meaning(&config, ClockSync::Unknown).to_string();
        for line in [
            "  filter 0/#: error at most 0.5; lost on power cut or kill: nothing\n",
            "  filter 1/#: error at most 0.25 from the straight line; lost on power cut or kill: at most 1 reading per sensor\n",
            "  filter 2/#: error none stated: aggregates stand for readings; lost on power cut or kill: the readings of at most 60000 ms per sensor\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(text.contains("  ack_held      as_suppressed: "), "{text}");
        config.routes[0].hold_max = Some(Duration::from_secs(90));
        let text = Meaning(&config, ClockSync::Unknown).to_string();
        for line in [
            "  filter 1/#: error at most 0.25 from the straight line; holds at most 1 reading per sensor, not acknowledged\n",
            "  ack_held      when_emitted: a held reading's PUBACK waits, at most 1 min 30 s and for the disk; nothing\n",
            "  PUBACK within    1 min 31 s of a message, online and offline\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn what_a_time_guard_drops_is_in_the_line_of_the_loss() {
        let mut config = config("");
        let mut told = |guard: &str| {
            let stages = format!("{{ time_guard = {{ {guard} }} }}, {{ deadband = {{ absolute = 0.5 }} }}");
            config.routes[0].rules = Some(format!("[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]\n"));
            let text = Meaning(&config, ClockSync::Unknown).to_string();
            let line = text.lines().find(|line| line.contains("  filter #: ")).unwrap();
            line.split_once("kill: ").unwrap().1.to_owned()
        };
        assert_eq!(told("max_gap_ms = 600000"), "nothing");
        assert_eq!(
            told("same_time = \"drop\""),
            "nothing; always lost: every reading of the same time as the last one"
        );
        assert_eq!(
            told("out_of_order = \"drop\", future = \"drop\", max_future_ms = 90000"),
            "nothing; always lost: every reading older than the last one, more than 1 min 30 s ahead of a synchronised clock"
        );
    }

    #[test]
    fn the_limit_that_is_reached_first_decides() {
        let by_count = sizing(&config("max_messages = 108000"));
        assert_eq!((by_count.outage, by_count.reached_first), (Duration::from_secs(3_600), "max_messages"));
        let by_bytes = sizing(&config("max_messages = 100000000\nmax_bytes = \"1MiB\""));
        assert_eq!(by_bytes.reached_first, "max_bytes");
        let by_age = sizing(&config("max_age = \"60s\""));
        assert_eq!((by_age.outage, by_age.reached_first), (Duration::from_secs(60), "max_age"));
    }

    #[test]
    fn dead_letters_are_among_the_topics_of_a_route_with_readings() {
        let mut config = config("");
        assert!(
            !Meaning(&config, ClockSync::Unknown).to_string().contains("dead-letter/#"),
            "no route needs readings"
        );
        config.routes[0].format = Format::Json;
        assert!(Meaning(&config, ClockSync::Unknown).to_string().contains("\ndead letters  dead-letter/#: "));
    }

    #[test]
    fn the_report_says_what_listening_costs() {
        let mut config = config("");
        assert!(
            !Meaning(&config, ClockSync::Unknown).to_string().contains("a ping every"),
            "nothing is subscribed"
        );
        config.routes[0].format = Format::Compact;
        let said = Meaning(&config, ClockSync::Unknown).to_string();
        assert!(
            said.contains("noticed within 15 s") && said.contains("11 s, at most 30.7 KiB of MQTT a day"),
            "{said}"
        );
        config.hub.url = "mqtts://h:8883".to_owned();
        assert!(
            Meaning(&config, ClockSync::Unknown).to_string().contains("trusts the authorities of the system")
        );
    }

    #[test]
    fn the_report_says_hours_ram_and_loss() {
        let said = Meaning(&config(""), ClockSync::Unknown).to_string();
        for expected in ["outage covered", " h);", "RAM at most", "lost on power cut", "disk reserved    152"]
        {
            assert!(said.contains(expected), "{expected:?} is missing in\n{said}");
        }
    }
}
