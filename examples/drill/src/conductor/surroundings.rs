//! Parts around the gateway: the servers, and the sensors' tasks.

#![allow(clippy::disallowed_methods, reason = "the drill is a shell: tasks are its job")]

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Setup;
use crate::clock::Clock;
use crate::forecast::Forecast;
use crate::gateway::Candidate;
use crate::hub::Hub;
use crate::mosquitto::{self, Broker};
use crate::own_gateway::OwnGateway;
use crate::sensor::{self, LiveCounts, Place, SensorRecord};
use crate::series::{self, Sensor};
use crate::story::Story;

/// Returns the sensors as the gateway can take them.
pub(super) fn sensors_for(setup: &Setup<'_>) -> io::Result<Vec<Sensor>> {
    let sensors = series::sensors().map_err(io::Error::other)?;
    Ok(match setup.candidate {
        Candidate::Own(_) => sensors,
        Candidate::Foreign(_) => {
            sensors.into_iter().map(|sensor| sensor.without_reading(setup.numbers)).collect()
        }
    })
}

/// Returns what the gateway's own sizing predicts of the story; `None` if it has none, or its configuration is of no use for it.
pub(super) fn forecast(setup: &Setup<'_>, story: &Story, sensors: &[Sensor]) -> Option<Forecast> {
    let Candidate::Own(OwnGateway { forecast: Some(forecast), .. }) = setup.candidate else { return None };
    let file = setup.work.join(crate::work_folder::CONFIGURATION_FILE);
    match forecast(&file, &crate::forecast::traffic(story, sensors)) {
        Ok(forecast) => Some(forecast),
        Err(why) => {
            edge_print::complain!("nothing is predicted: {why}");
            None
        }
    }
}

/// Servers around the gateway.
pub(super) struct Stack {
    pub(super) hub: Hub,
    /// The broker that the sensors use, if they do not use the gateway's own listener.
    pub(super) local: Option<SocketAddr>,
    pub(super) name: String,
    /// Kept to the end: a broker ends with its value.
    pub(super) brokers: Vec<Broker>,
}

impl Stack {
    pub(super) async fn built_in(clock: Clock) -> io::Result<Self> {
        let hub = Hub::start(clock).await?;
        Ok(Self { hub, local: None, name: "built-in hub".to_owned(), brokers: Vec::new() })
    }

    pub(super) async fn mosquitto(dir: &Path, clock: Clock) -> io::Result<Self> {
        let name = format!("{} as hub and as local broker", mosquitto::version().await?);
        let (hub, local) = (Broker::hub(dir).await?, Broker::local(dir).await?);
        let subscriber = Hub::subscribe(hub.address, clock).await?;
        Ok(Self { hub: subscriber, local: Some(local.address), name, brokers: vec![hub, local] })
    }
}

/// The sensors' tasks.
pub(super) struct Crew {
    pub(super) tasks: JoinSet<SensorRecord>,
    pub(super) counts: Arc<LiveCounts>,
    pub(super) stop: watch::Sender<bool>,
}

impl Crew {
    pub(super) fn start(sensors: &[Sensor], gateway: SocketAddr, story: &Arc<Story>, clock: Clock) -> Self {
        let counts = Arc::new(LiveCounts::default());
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for (sensor, index) in sensors.iter().zip(0..) {
            let place = Place {
                index,
                of: sensors.len() as u64,
                gateway,
                clock,
                story: Arc::clone(story),
                counts: Arc::clone(&counts),
            };
            tasks.spawn(sensor::run(sensor.clone(), place, stopped.clone()));
        }
        Self { tasks, counts, stop }
    }
}
