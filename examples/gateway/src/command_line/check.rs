//! Report of `edge-gateway check FILE`: the mistakes of a configuration, or a description of its effects.

mod costs;
mod forecast;
mod hub_commands;
mod local_side;
mod route_loads;
mod simulated_load;
mod sizing;

use std::fmt;
use std::time::Duration;

use control_loop::OneLine;
use edge_bridge::bridge::{IdentityForm, idle_ping_every_ms};
use edge_filter::time::TimeGuard;
use edge_filter::{DropReason, LossBound, Pipeline};
use edge_queue::ClockSync;

use crate::config::hub_topics::{gap_topics, status_topics};
use crate::config::units::{human_bytes, human_duration};
use crate::config::{AlarmCommands, Config, Control, Format, Order, Protocol, Route};
use crate::open_files::OpenFiles;

use costs::costs;
pub(crate) use forecast::forecast;
use hub_commands::commands;
use local_side::local;
pub(crate) use simulated_load::{Load, Measured};

/// Description of a configuration in words: with the machine's wall clock and limit of open files, and the load of the site.
pub(crate) struct Meaning<'a>(
    pub(crate) &'a Config,
    pub(crate) ClockSync,
    pub(crate) OpenFiles,
    pub(crate) Load,
);

/// Writer of the report. It keeps each text on one line, whatever strings of the file the text quotes.
struct Lines<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Lines<'_, '_> {
    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        let text = text.to_string();
        match text.strip_suffix('\n') {
            Some(line) => writeln!(self.0, "{}", OneLine(line)),
            None => write!(self.0, "{}", OneLine(&text)),
        }
    }
}

impl fmt::Display for Meaning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(config, clock, files, load) = *self;
        let f = &mut Lines(f);
        writeln!(f, "gateway       {}", config.id)?;
        local(f, &config.local, files)?;
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
        for (name, order) in config.queue.lanes.iter().zip(config.orders()) {
            let order = match order {
                Order::Fifo => "in the order in which they came",
                Order::LiveFirst => "new messages before those of an outage",
            };
            writeln!(f, "lane {name:<8} {order}")?;
        }
        if config.queue.gap_reports {
            let topics = gap_topics(config).join(", ");
            writeln!(f, "gap reports   {topics}: what was acknowledged and lost; the hub must allow it")?;
        }
        if config.status_to_hub {
            let [alive, status] = status_topics(&config.id);
            writeln!(
                f,
                "hub status    {status}, {alive}: the gateway's state, retained; the hub must allow it"
            )?;
        }
        commands(f, config)?;
        alarms(f, config)?;
        if let Some(control) = &config.control {
            loops(f, control)?;
        }
        pages(f, config)?;
        wall_clock(f, clock)?;
        costs(f, config, load)
    }
}

/// Writes the addresses of the HTTP pages, and who may read them.
fn pages(f: &mut Lines<'_, '_>, config: &Config) -> fmt::Result {
    let Some(address) = config.metrics else { return Ok(()) };
    let is_here = address.ip().is_loopback();
    let who = if is_here { "" } else { ", for whoever reaches it: nobody logs in" };
    writeln!(f, "metrics       http://{address}/metrics, /healthz, /readyz{who}")?;
    let who = match (&config.status_token, is_here) {
        (Some(_), true) => "for whoever has the token",
        (Some(_), false) => "for whoever has the token, which goes there in the clear",
        (None, true) => "for whoever is on this machine",
        (None, false) => "closed: beyond loopback it needs [status] token_file",
    };
    writeln!(f, "status page   http://{address}/, /status.json, {who}")
}

/// Writes if the wall clock is synchronised, and the effects until it is.
fn wall_clock(f: &mut Lines<'_, '_>, clock: ClockSync) -> fmt::Result {
    writeln!(f, "clock         on this machine {clock}")?;
    if !clock.is_synced() {
        writeln!(
            f,
            "              until it is, no reading is judged to be ahead of it, and after a restart of the machine"
        )?;
        writeln!(
            f,
            "              max_age counts from that; [clock] trusted = true if it is right all the same"
        )?;
    }
    Ok(())
}

/// Bytes of a PINGREQ with its PINGRESP: in MQTT, and with the overhead of TLS 1.3 and TCP over IPv4 for two segments and an acknowledgement.
const PING_BYTES: u64 = 4;
const PING_WIRE_BYTES: u64 = PING_BYTES + 2 * 22 + 3 * 40;

/// Writes the hub's address, the client identifier and user name used there, and the cost of subscriptions at the hub.
fn hub(f: &mut Lines<'_, '_>, config: &Config) -> fmt::Result {
    let hub = &config.hub;
    let version = match hub.protocol {
        Protocol::Auto => "MQTT 5, or 3.1.1 if it takes no other",
        Protocol::V5 => "MQTT 5",
        Protocol::V311 => "MQTT 3.1.1",
    };
    writeln!(f, "hub           {} as {}, {version}", hub.url, hub.client_id)?;
    if !hub.further_urls.is_empty() {
        let back = if hub.failback { "; back to the first when it can be reached" } else { "" };
        writeln!(f, "              or {}{back}", hub.further_urls.join(", "))?;
    }
    if let Some(proxy) = &hub.proxy {
        let login = proxy.address.user.as_deref().map_or_else(String::new, |user| format!(" as {user}"));
        writeln!(
            f,
            "              through the proxy {}{login}, which resolves the hub's name",
            proxy.address
        )?;
    }
    if hub.is_in_the_clear() {
        writeln!(
            f,
            "              in the clear: whoever is on the way reads, changes and answers all of it; mqtts:// if it leaves your network"
        )?;
    }
    if hub.protocol == Protocol::V311 {
        writeln!(
            f,
            "              its PUBACKs have no reasons: a message that the hub denies in silence, as Mosquitto does, counts as delivered"
        )?;
    }
    if hub.protocol != Protocol::V311 {
        identity(f, hub.identity)?;
    }
    if let Some(credentials) = &hub.credentials {
        writeln!(f, "              user {}", credentials.user)?;
    }
    if hub.url.starts_with("mqtts://") && hub.ca.is_none() {
        writeln!(f, "              trusts the authorities of the system")?;
    }
    if let Some(crl) = &hub.crl {
        writeln!(f, "              refuses it with a certificate that {} revokes", crl.display())?;
    }
    if config.routes.iter().any(|route| route.format == Format::Compact) || !config.commands.is_empty() {
        let every_ms = idle_ping_every_ms(u64::try_from(hub.command_within.as_millis()).unwrap_or(u64::MAX));
        let pings = 86_400_000 / every_ms.max(1);
        writeln!(
            f,
            "              subscribed there: lost links are noticed within {}; while nothing else comes a ping every",
            human_duration(hub.command_within)
        )?;
        writeln!(
            f,
            "              {}, at most {} of MQTT a day, {} with TLS and TCP",
            human_duration(Duration::from_millis(every_ms)),
            human_bytes(pings * PING_BYTES),
            human_bytes(pings * PING_WIRE_BYTES)
        )?;
    }
    Ok(())
}

/// Writes the consequences of an unusual form of the identity, for readers and for duplicates.
fn identity(f: &mut Lines<'_, '_>, form: IdentityForm) -> fmt::Result {
    match form {
        IdentityForm::Binary => writeln!(
            f,
            "              identity of raw messages as Correlation Data, which readers must know; text beside a publisher's own"
        ),
        IdentityForm::Off => writeln!(
            f,
            "              raw messages have no identity: what comes twice after a kill or a broken link cannot be recognised"
        ),
        _ => Ok(()),
    }
}

/// Returns words for the destination topic and the format of a route's messages.
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

/// Readings that a time guard drops although they were acknowledged, in words; empty if it drops none.
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

/// Writes for each rule of a route's filter its error bound, and how many readings a kill may lose.
fn rules(f: &mut Lines<'_, '_>, route: &Route) -> fmt::Result {
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
    for (pattern, alarm) in pipeline.iter().flat_map(Pipeline::alarms) {
        match alarm.longest_shelve_ms().map(|ms| Duration::from_millis(ms.unsigned_abs())) {
            Some(max) => writeln!(f, "  alarm {pattern}: shelved for at most {}", human_duration(max))?,
            None => writeln!(f, "  alarm {pattern}: shelved for any time")?,
        }
    }
    match route.hold_max {
        Some(max) => {
            writeln!(
                f,
                "  ack_held      when_emitted: a held reading's PUBACK waits, at most {} and for the disk; nothing",
                human_duration(max)
            )?;
            writeln!(f, "                that was acknowledged is lost on power cut or kill")
        }
        None if holds => writeln!(
            f,
            "  ack_held      as_suppressed: a held reading is acknowledged at once, and may be lost as said"
        ),
        None => Ok(()),
    }
}

/// Writes who may command the filters' alarms, if there are any.
fn alarms(f: &mut Lines<'_, '_>, config: &Config) -> fmt::Result {
    let rules = config.routes.iter().filter_map(|route| route.rules.as_deref());
    let mut pipelines = rules.filter_map(|text| Pipeline::from_toml(text).ok());
    if !pipelines.any(|pipeline| pipeline.alarms().next().is_some()) {
        return Ok(());
    }
    let Some(AlarmCommands { clients, per_minute, hub }) = &config.alarm_commands else {
        return writeln!(
            f,
            "alarms        commands are off: nobody here can acknowledge, reset or shelve them"
        );
    };
    let mut who = match clients {
        Some(clients) => format!("clients {}", clients.join(", ")),
        None => "any client".to_owned(),
    };
    if *hub {
        who.push_str(" and the hub");
    }
    writeln!(
        f,
        "alarms        {who} may command them at cmd/alarm/SENSOR/LEVEL/ack, reset, shelve, unshelve, {per_minute} a minute;"
    )?;
    writeln!(
        f,
        "              event/alarm/# says what changes; over a kill acknowledged and shelved ones stay so"
    )
}

/// Writes the loops' file and periods, and the safe state of each output.
fn loops(f: &mut Lines<'_, '_>, control: &Control) -> fmt::Result {
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
mod tests;
