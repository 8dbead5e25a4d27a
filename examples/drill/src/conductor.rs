//! Plays the story: starts everything, does each action at its time, watches, and collects the records.

#![allow(clippy::disallowed_methods, reason = "the drill is a shell: tasks are its job")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::clock::Clock;
use super::forecast::Forecast;
use super::foreign_gateway::prefix_of;
use super::gateway::{Candidate, Gateway};
use super::hub::{Hub, RAW_PREFIX};
use super::mosquitto::wait_until_open;
use super::progress::{Progress, Snapshot};
use super::record::{Header, Records, SCHEMA};
use super::relay::{ONE_WAY_DELAY, Relay};
use super::report::{Event, Sample};
use super::sensor::{LiveCounts, SensorRecord};
use super::series::Sensor;
use super::story::{Action, Fault, PhaseName, Story};
use super::verdict::{GatewayLedger, Observed, Timeline};
use drain::Silence;
use surroundings::{Crew, Stack, sensors_for};

mod drain;
mod surroundings;

const SAMPLE_EVERY_MS: u64 = 250;
const START_WITHIN: Duration = Duration::from_secs(10);
/// Longest wait for totals that are up to date: twice `totals_within` of the drill's gateway.
const TOTALS_MS_MAX: u64 = 20_000;

/// Observations of the whole drill.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) story: Story,
    pub(crate) records: Records,
    pub(crate) timeline: Timeline,
    pub(crate) published: BTreeMap<String, u64>,
    pub(crate) observed: Observed,
    pub(crate) samples: Vec<Sample>,
    pub(crate) events: Vec<Event>,
    /// Figures that were predicted before the start; `None`: there is no forecast.
    pub(crate) forecast: Option<Forecast>,
    /// Unix ms of the story's instant 0.
    pub(crate) started_at: i64,
    /// Description of what stood around the gateway.
    pub(crate) stack: String,
}

/// Setting of a story.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) candidate: &'a Candidate,
    /// Messages are plain numbers.
    pub(crate) numbers: bool,
    /// Folder of the gateway's configuration, state and log.
    pub(crate) work: &'a Path,
    /// The folder for the configurations of real brokers, if they shall take part.
    pub(crate) mosquitto: Option<&'a Path>,
}

/// Runs the story.
///
/// # Errors
/// When a part cannot be started, or when the gateway ends by itself.
pub(crate) async fn play(story: Story, setup: Setup<'_>) -> io::Result<Played> {
    let sensors = sensors_for(&setup)?;
    let clock = Clock::start();
    let Stack { hub, local, name, brokers } = match setup.mosquitto {
        Some(dir) => Stack::mosquitto(dir, clock).await?,
        None => Stack::built_in(clock).await?,
    };
    let relay = Relay::start(hub.address(), ONE_WAY_DELAY).await?;
    let mut gateway = Gateway::prepare(setup.candidate, setup.work, relay.address(), local)?;
    let forecast = surroundings::forecast(&setup, &story, &sensors);
    gateway.start()?;
    gateway.accepting(START_WITHIN).await?;
    let way = match local {
        Some(local) => wait_until_open(local, &hub, clock).await,
        None if gateway.reports_itself() => Ok(()),
        None => wait_until_open(gateway.inlet(), &hub, clock).await,
    };
    let closed = match way {
        Err(error) if gateway.reports_itself() => return Err(error),
        way => way.err(),
    };
    let (clock, story) = (clock.restart(), Arc::new(story));
    let crew = Crew::start(&sensors, gateway.inlet(), &story, clock);
    let mut conductor = Conductor::new(clock, story, hub, relay, gateway, Arc::clone(&crew.counts));
    if let Some(error) = closed {
        conductor.event(0, "way.closed", error.to_string());
    }
    conductor.follow_story().await?;
    let sensor_records = conductor.drain(crew).await?;
    let played = conductor.finish(&sensors, sensor_records, name).await;
    drop(brokers);
    Ok(Played { forecast, ..played? })
}

struct Conductor {
    clock: Clock,
    story: Arc<Story>,
    hub: Hub,
    relay: Relay,
    gateway: Gateway,
    counts: Arc<LiveCounts>,
    progress: Progress<io::Stderr>,
    timeline: Timeline,
    observed: Observed,
    samples: Vec<Sample>,
    events: Vec<Event>,
    next_sample_ms: u64,
    half_open_since_ms: Option<u64>,
    silence: Silence,
    /// The gateway has ended by itself, which was said.
    has_ended: bool,
}

impl Conductor {
    fn new(
        clock: Clock,
        story: Arc<Story>,
        hub: Hub,
        relay: Relay,
        gateway: Gateway,
        counts: Arc<LiveCounts>,
    ) -> Self {
        let observed = Observed { from_outside_alone: !gateway.reports_itself(), ..Observed::default() };
        Self {
            clock,
            story,
            hub,
            relay,
            gateway,
            counts,
            progress: Progress::stderr(),
            timeline: Timeline::default(),
            observed,
            samples: Vec::new(),
            events: Vec::new(),
            next_sample_ms: 0,
            half_open_since_ms: None,
            silence: Silence::default(),
            has_ended: false,
        }
    }

    async fn follow_story(&mut self) -> io::Result<()> {
        for (at_ms, action) in self.story.actions() {
            while self.clock.story_ms() < at_ms {
                self.clock.until(at_ms.min(self.next_sample_ms)).await;
                self.sample_if_due().await?;
            }
            match action {
                Action::Enter(phase) => self.enter(phase).await,
                Action::Kill => self.kill().await?,
                Action::Restart => self.restart().await?,
            }
        }
        Ok(())
    }

    async fn enter(&mut self, phase: PhaseName) {
        if phase == PhaseName::Back {
            let waiting = self.gateway.sample().await;
            self.observed.waiting_at_return =
                waiting.map(|metrics| (metrics.ledger.queued, metrics.queued_bytes));
        }
        self.relay.set(phase.fault()).await;
        let now_ms = self.clock.story_ms();
        let now = self.clock.unix_of(now_ms);
        // Phases with a fault never follow each other: each begins and ends an outage of its own.
        if phase.fault() == Fault::Normal {
            if let Some((from, to)) = self.timeline.outages.last_mut()
                && *to == i64::MAX
            {
                let lasted_s = (now - *from) as f64 / 1000.0;
                *to = now;
                self.event(now_ms, "link.back", format!("the link is back after {lasted_s:.1} s"));
            }
        } else {
            self.timeline.outages.push((now, i64::MAX));
        }
        self.half_open_since_ms = (phase.fault() == Fault::HalfOpen).then_some(now_ms);
        let said = match phase {
            PhaseName::Cut => Some(("link.cut", "the link is cut: connections reset, new ones refused")),
            PhaseName::HalfOpen => {
                Some(("link.half_open", "the link is half-open: it accepts and swallows everything"))
            }
            PhaseName::Drain => Some(("sensors.silent", "the sensors are silent; the rest is delivered")),
            PhaseName::Normal | PhaseName::Back | PhaseName::CatchUp => None,
        };
        if let Some((name, text)) = said {
            self.event(now_ms, name, text.to_owned());
        }
    }

    async fn kill(&mut self) -> io::Result<()> {
        let now_ms = self.clock.story_ms();
        self.timeline.killed_at = Some(self.clock.unix_of(now_ms));
        self.observed.kills += u32::from(self.gateway.kill().await?);
        self.event(now_ms, "gateway.killed", "the gateway is killed with signal 9".into());
        if !self.gateway.reports_itself() && self.gateway.accepts().await {
            return Err(io::Error::other(
                "what listens for the sensors has survived signal 9 to the command: a script has to end with `exec`",
            ));
        }
        Ok(())
    }

    async fn restart(&mut self) -> io::Result<()> {
        let started_ms = self.clock.story_ms();
        self.gateway.start()?;
        let accepting = self.gateway.accepting(START_WITHIN).await;
        if !self.is_there(accepting)? {
            return Ok(());
        }
        let now_ms = self.clock.story_ms();
        self.timeline.accepting_at = Some(self.clock.unix_of(now_ms));
        let took_ms = now_ms - started_ms;
        self.event(
            now_ms,
            "gateway.accepting",
            format!("the restarted gateway accepts connections after {took_ms} ms"),
        );
        Ok(())
    }

    /// Returns whether the gateway is there. That one of somebody else's is not is an event, after which the story goes on to its verdict.
    fn is_there(&mut self, outcome: io::Result<()>) -> io::Result<bool> {
        match outcome {
            Ok(()) => Ok(true),
            Err(error) if self.gateway.reports_itself() => Err(error),
            Err(error) => {
                if !std::mem::replace(&mut self.has_ended, true) {
                    self.event(self.clock.story_ms(), "gateway.ended", error.to_string());
                }
                Ok(false)
            }
        }
    }

    async fn finish(
        mut self,
        sensors: &[Sensor],
        sensor_records: Vec<SensorRecord>,
        stack: String,
    ) -> io::Result<Played> {
        let ledger = self.settled_ledger().await;
        let traffic = self.relay.traffic();
        // Its figures are read and its queue is judged by the hub's record: there is nothing left to stop cleanly.
        self.gateway.kill().await?;
        self.progress.finish();
        let published =
            sensor_records.iter().map(|record| (record.client.clone(), record.published)).collect();
        let observed = Observed {
            wan_up_bytes: traffic.up_bytes,
            wan_down_bytes: traffic.down_bytes,
            json_bytes: sensor_records.iter().map(|record| record.json_bytes).sum(),
            flash_bytes_written: self.gateway.flash_bytes_written(),
            gateway_rss_kib_max: self.gateway.rss_kib_max(),
            unreadable_batches: self.hub.unreadable_batches(),
            ledger,
            ..self.observed.clone()
        };
        let hub = self.hub.take_record();
        let raw_prefix =
            if self.observed.from_outside_alone { prefix_of(&hub) } else { RAW_PREFIX.to_owned() };
        let header = Header {
            schema: SCHEMA,
            seed: self.story.seed,
            raw_prefix,
            tolerance: sensors.iter().filter_map(|s| s.tolerance.map(|t| (s.name.clone(), t))).collect(),
            unfiltered: sensors.iter().filter(|s| s.is_unfiltered()).map(|s| s.name.clone()).collect(),
        };
        let mut acks: Vec<_> = sensor_records.into_iter().flat_map(|record| record.acks).collect();
        acks.sort_by_key(|ack| ack.time);
        let records = Records { header, acks, hub };
        Ok(Played {
            story: (*self.story).clone(),
            records,
            timeline: self.timeline,
            published,
            observed,
            samples: self.samples,
            events: self.events,
            forecast: None,
            started_at: self.clock.unix_of(0),
            stack,
        })
    }

    /// Totals are those of the last commit, what waits is that of now: reads them until they agree, or the time for it is over.
    async fn settled_ledger(&mut self) -> Option<GatewayLedger> {
        if !self.gateway.reports_itself() {
            return None;
        }
        let deadline_ms = self.clock.story_ms() + TOTALS_MS_MAX;
        loop {
            let ledger = self.gateway.sample().await.map(|metrics| metrics.ledger);
            let now_ms = self.clock.story_ms();
            if ledger.is_some_and(|ledger| ledger.apart() == 0) || now_ms >= deadline_ms {
                return ledger;
            }
            self.clock.until(now_ms + SAMPLE_EVERY_MS).await;
        }
    }

    async fn sample_if_due(&mut self) -> io::Result<()> {
        let now_ms = self.clock.story_ms();
        if now_ms < self.next_sample_ms {
            return Ok(());
        }
        self.next_sample_ms = now_ms + SAMPLE_EVERY_MS;
        let alive = self.gateway.alive();
        self.is_there(alive)?;
        let metrics = self.gateway.sample().await;
        let (waiting, link) = metrics.map_or((None, String::new()), |m| (Some(m.ledger.queued), m.link));
        let phase = self.story.phase_at(now_ms).text();
        let (sent, acknowledged) =
            (self.counts.sent.load(Ordering::Relaxed), self.counts.acknowledged.load(Ordering::Relaxed));
        let arrived = self.hub.arrivals() as u64;
        self.progress.show(&Snapshot {
            at_ms: now_ms,
            phase,
            link: if self.gateway.reports_itself() { &link } else { "unknown" },
            waiting,
            sent,
            acknowledged,
            arrived,
        });
        if let Some(since_ms) = self.half_open_since_ms
            && self.observed.stall_noticed_ms.is_none()
            && !matches!(link.as_str(), "" | "flowing" | "idle" | "draining")
        {
            let after_ms = now_ms.saturating_sub(since_ms);
            self.observed.stall_noticed_ms = Some(after_ms);
            self.event(
                now_ms,
                "link.stall_noticed",
                format!("the gateway says {link}, {after_ms} ms after the link went half-open"),
            );
        }
        if let Some(waiting) = waiting {
            self.samples.push(Sample { at_ms: now_ms, waiting, link });
        }
        Ok(())
    }

    fn event(&mut self, at_ms: u64, name: &'static str, text: String) {
        self.progress.event(at_ms, &text);
        self.events.push(Event { at_ms, name, text });
    }
}

#[cfg(test)]
mod tests;
