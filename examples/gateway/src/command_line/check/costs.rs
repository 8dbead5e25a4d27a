//! Costs of a configuration for an operator: the longest outage that the queue covers, the traffic and flash wear of a month, the losses in a
//! kill, and the effect of a full queue.

use std::fmt;
use std::time::Duration;

use crate::config::units::{human_bytes, human_duration};
use crate::config::{Config, Local, OnFull};

use super::Lines;
use super::simulated_load::{Load, Measured};
use super::sizing::{RouteSizing, Sizing, compact_ram_bytes, sizing};

/// Duration from which catching up with a backlog counts as endless.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Writes what an outage, a kill and a full queue cost under a load.
pub(super) fn costs(f: &mut Lines<'_, '_>, config: &Config, load: Load) -> fmt::Result {
    let sizing = sizing(config, load);
    let Load { messages_per_s, payload_bytes, sensors, topic_bytes, measured } = load;
    writeln!(f)?;
    let from = match measured {
        Some(Measured { over, busiest_per_s, has_payload }) => {
            writeln!(
                f,
                "Measured at the running gateway over {}: {busiest_per_s} messages/s in the busiest five minutes",
                human_duration(over)
            )?;
            if has_payload { "--sensors" } else { "--sensors, --payload" }
        }
        None => "--rate, --sensors, --payload",
    };
    let topics = match topic_bytes {
        0 => String::new(),
        bytes => format!(", wildcards filled to topics of {bytes} bytes (--topic)"),
    };
    writeln!(
        f,
        "At {messages_per_s} messages/s from {sensors} sensors, raw ones of {payload_bytes} bytes ({from}){topics}, if all come by"
    )?;
    for (index, (route, figures)) in config.routes.iter().zip(&sizing.routes).enumerate() {
        writeln!(f, "route {} ({})", index + 1, route.format.name())?;
        of_route(f, config, figures)?;
    }
    writeln!(f)?;
    of_all(f, config, &sizing)
}

fn of_route(f: &mut Lines<'_, '_>, config: &Config, figures: &RouteSizing) -> fmt::Result {
    let RouteSizing {
        outage,
        reached_first,
        outage_when_busiest,
        month: (mqtt, wire),
        flash_offline,
        flash_online,
        years,
        catching_up,
    } = figures;
    writeln!(
        f,
        "  outage covered   {} ({:.1} h); reached first: {reached_first}",
        human_duration(*outage),
        outage.as_secs_f64() / 3_600.0
    )?;
    if let Some(outage) = outage_when_busiest {
        writeln!(
            f,
            "                   {} if it is as busy as in its busiest five minutes",
            human_duration(*outage)
        )?;
    }
    if let Some(time) = catching_up {
        match *time < FOR_EVER {
            true => writeln!(f, "  catching up      {} after an outage of an hour", human_duration(*time))?,
            false => writeln!(f, "  catching up      never: the line does not take what comes")?,
        }
    }
    let tls = if config.hub.url.starts_with("mqtts://") { "TLS and TCP" } else { "TCP" };
    writeln!(f, "  link             {} in 30 days, {} with {tls}", human_bytes(*mqtt), human_bytes(*wire))?;
    let online = match flash_online {
        0 => "nothing while it answers in time".to_owned(),
        bytes => format!("{} while it answers: batch_age is too long for ack_within", human_bytes(*bytes)),
    };
    writeln!(f, "  flash            {} a day while the hub is away, {online}", human_bytes(*flash_offline))?;
    let (flash, cycles) = (human_bytes(config.hardware.flash_bytes), config.hardware.flash_cycles);
    if *years < 100.0 {
        writeln!(
            f,
            "                   {years:.1} years of it wear out {flash} of {cycles} cycles ([hardware])"
        )?;
    }
    Ok(())
}

fn of_all(f: &mut Lines<'_, '_>, config: &Config, sizing: &Sizing) -> fmt::Result {
    let then = match config.queue.on_full {
        OnFull::DropOldest => "the oldest unsent messages are given up, counted and reported",
        OnFull::DropNewest => "new messages are given up, counted and reported",
        OnFull::Reject => "new messages are not acknowledged: sensors keep them",
    };
    for (lane, name) in config.queue.lanes.iter().enumerate() {
        let Some((route, figures)) = sizing.first_to_fill(config, lane) else { continue };
        writeln!(
            f,
            "  lane {name:<12}holds {:.1} h of it, reached first: {} (route {})",
            figures.outage.as_secs_f64() / 3_600.0,
            figures.reached_first,
            route + 1
        )?;
    }
    let shortest = sizing.shortest().map(|route| route.outage).unwrap_or_default();
    writeln!(f, "  after {:<10} {then}", human_duration(shortest))?;
    let (disk, parked) = (human_bytes(sizing.disk_bytes), human_bytes(sizing.parked_disk_bytes));
    writeln!(
        f,
        "  disk reserved    {disk}; {parked} more once the hub refuses a message, for the parked ones"
    )?;
    writeln!(f, "  RAM at most      {}, whatever is queued", human_bytes(sizing.ram_bytes))?;
    if sizing.access_ram_bytes > 0 {
        let access = human_bytes(sizing.access_ram_bytes);
        writeln!(
            f,
            "                   {access} of it for logins and rights, with their files as they are now"
        )?;
    }
    let compact = compact_ram_bytes(config);
    if compact > 0 {
        let compact = human_bytes(compact);
        writeln!(f, "                   {compact} of it for names, tables and encoders of compact batches")?;
    }
    writeln!(f, "  PUBACK within    {} of a message, online and offline", human_duration(sizing.receipt))?;
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
