//! Restore of the state from before a restart, once the queue is open: takes over the last process's state, and removes its mark before the first
//! reading. A directory that refuses this counts as one without a queue, and both are tried again. A slow or hanging disk blocks neither control
//! loops nor local clients.

#![allow(clippy::disallowed_methods, reason = "a shell: it waits for the disk")]

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use edge_bridge::Row;
use edge_bridge::net::Clock;

use crate::config::Config;
use crate::run::error::RunError;
use crate::run::filters::watched_sensors_file::{self, Pace, Watched};
use crate::run::hub::compact::Announced;
use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::hub::table_files::TableFiles;
use crate::run::local_control::alarm_commands;
use crate::run::local_control::alarm_file::{self, KeptAlarms};
use crate::run::queue::opening::{Opened, Opening};
use crate::run::queue::status_without_queue::NoQueue;
use crate::run::queue::store;
use crate::run::sensors::ingest::GatewayIngest;

use super::Stop;
use super::clean_stop_mark::LastRun;
use super::disk_wait::DiskWait;
use super::start_counter::StartCounter;
use super::{clean_stop_mark, first_rows};

/// Time for which the runtime's thread waits for the disk; a healthy one takes milliseconds.
const WAIT: Duration = Duration::from_secs(2);

/// Time that a stop leaves to a state that is being taken over.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Open queue, and the state that was restored.
pub(in crate::run) struct Resumed {
    pub(in crate::run) opened: Opened,
    /// Set if the last process stopped cleanly.
    pub(in crate::run) clean: bool,
    /// Rows to be queued before the first reading.
    pub(in crate::run) rows: Vec<Row>,
    /// Rows of alarms to be queued behind `rows`, because a kill may have lost the alarms' own rows. They are stored in the file of alarms, not
    /// in the mark.
    pub(in crate::run) alarms: Vec<Row>,
    pub(in crate::run) pace: Pace,
    /// Session tables, each with its topic.
    pub(in crate::run) tables: Vec<(String, Announced)>,
    pub(in crate::run) restarts: StartCounter,
    /// Set if a stop was asked for meanwhile.
    pub(in crate::run) is_stopping: bool,
}

impl Resumed {
    /// Logs what was opened.
    pub(in crate::run) fn tell_opened(&self, config: &Config, state: &Path) {
        let Opened { queue, is_new, .. } = &self.opened;
        let (clean, queued) = (self.clean || *is_new, store::waiting(queue));
        tracing::info!(gateway = config.id, state = %state.display(), clean, queued, "opened");
    }
}

/// State directory, and the names of its small files.
#[derive(Clone)]
pub(in crate::run) struct StateFiles {
    pub(in crate::run) dir: PathBuf,
    /// Number of the queue's lanes.
    pub(in crate::run) lanes: usize,
    pub(in crate::run) table_files: TableFiles,
    /// Topics of session tables without the id, one per topic of batches.
    pub(in crate::run) table_topics: Vec<String>,
}

/// Waits for the queue, and restores the state. `opened` is the result of the first attempt; `no_queue` shows the gateway's state meanwhile. Returns
/// `None` if a stop is asked for before that.
///
/// # Errors
/// A failure that no further attempt can mend.
pub(in crate::run) async fn resume(
    files: &StateFiles,
    mut opened: Option<Opened>,
    opening: &mut Opening,
    (ingest, clock): (&GatewayIngest, Clock),
    no_queue: &NoQueue,
    mut stop: Stop<'_>,
) -> Result<Option<Resumed>, RunError> {
    let (mut waited, mut is_stopping) = (false, false);
    loop {
        let opened = match opened.take() {
            Some(opened) => opened,
            None => {
                waited = true;
                tokio::select! {
                    biased;
                    opened = opening.opened() => opened?,
                    () = stop.as_mut() => return Ok(None),
                    never = no_queue.watch() => match never {},
                }
            }
        };
        let mut opened = OpenedGuard(Some(opened));
        let is_new = opened.0.as_ref().is_some_and(|opened| opened.is_new);
        let (held_up, patience) = disk_waits(waited);
        let disk = DiskWait::new(held_up);
        let slow = async {
            // Borrowed alone: what opens the queue may move between threads, and is no two threads' at once.
            let opening = &mut *opening;
            tokio::time::sleep(patience).await;
            opening.tell_slow(&files.dir);
            std::future::pending::<Infallible>().await
        };
        let taking = read_and_mark(files, disk, is_new, (ingest, clock));
        let taken = tokio::select! {
            biased;
            taken = or_stopped(taking, stop.as_mut(), &mut is_stopping) => taken,
            never = slow => match never {},
            never = no_queue.watch() => match never {},
        };
        match taken {
            Some(Ok(Taken { clean, rows, alarms, pace, tables, restarts })) => {
                let Some(opened) = opened.0.take() else { return Ok(None) };
                if waited {
                    tracing::warn!("the queue is open: what comes is stored and acknowledged again");
                }
                return Ok(Some(Resumed {
                    opened,
                    clean,
                    rows,
                    alarms,
                    pace,
                    tables,
                    restarts,
                    is_stopping,
                }));
            }
            Some(Err(error)) if !is_stopping => {
                let Some(opened) = opened.0.take() else { return Ok(None) };
                tokio::select! {
                    // First: what is dropped before it began would wait for the disk here.
                    biased;
                    () = no_queue.service.while_waiting(opening.give_back(opened, format!("the last stop's mark: {error}"))) => {}
                    () = stop.as_mut() => return Ok(None),
                }
            }
            _ => return Ok(None),
        }
    }
}

/// Waits for a state that is being taken over. A stop leaves it [`STOP_WITHIN`] to end: given up half-way, the mark of the last stop may be gone, and
/// with it what filters held. Sets `is_stopping` if a stop is asked for; returns `None` if its time is over.
async fn or_stopped<T>(taking: impl Future<Output = T>, stop: Stop<'_>, is_stopping: &mut bool) -> Option<T> {
    let over = async {
        stop.await;
        *is_stopping = true;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::select! {
        biased;
        taken = taking => Some(taken),
        () = over => None,
    }
}

/// Returns for how long the runtime's thread waits for the disk, and after how long a slow disk is told. Once the gateway runs without its queue,
/// its loops and local clients are not held up: what is dropped for them was dropped before.
const fn disk_waits(runs_already: bool) -> (Duration, Duration) {
    if runs_already { (Duration::ZERO, WAIT) } else { (WAIT, Duration::ZERO) }
}

/// Guard of an open queue during a wait that a stop may end. Its last handle waits for the disk when it is dropped, so that is done on another
/// thread.
struct OpenedGuard(Option<Opened>);

impl Drop for OpenedGuard {
    fn drop(&mut self) {
        if let Some(opened) = self.0.take() {
            tokio::task::spawn_blocking(move || drop(opened));
        }
    }
}

/// Parts of [`Resumed`] without the queue.
struct Taken {
    clean: bool,
    rows: Vec<Row>,
    alarms: Vec<Row>,
    pace: Pace,
    tables: Vec<(String, Announced)>,
    restarts: StartCounter,
}

/// State of the last process, as read from the disk.
struct Left {
    last: LastRun,
    alarms: Vec<KeptAlarms>,
    watched: (Vec<Watched>, Pace),
    tables: Vec<(String, Announced)>,
}

/// Reads the state, restores it, and replaces the mark. No message is received between the two calls to the disk, or the intake is closed, so the
/// filters stay as restored.
async fn read_and_mark(
    files: &StateFiles,
    disk: DiskWait,
    is_new: bool,
    (ingest, clock): (&GatewayIngest, Clock),
) -> io::Result<Taken> {
    let (from, obeys, up_ms) = (files.clone(), ingest.obeys(), clock.now().up_ms);
    let left = disk.run(move || read(&from, obeys, up_ms)).await?;
    let (clean, tables) = (left.last.clean, left.tables.clone());
    let (mut rows, alarms, mut pace) = restore(left, is_new, ingest, clock);
    let restored = clean.then(|| ingest.watched());
    let (to, kept) = (files.clone(), alarm_commands::to_keep(ingest));
    let last_clean = (!is_new).then_some(clean);
    let marked = disk.run(move || {
        alarm_commands::follow(&to.dir, &kept);
        if let Some(lists) = restored {
            watched_sensors_file::keep_restored(&to.dir, lists, &mut pace, up_ms);
        }
        first_rows::mark(&to.dir, &mut rows, to.lanes)?;
        Ok::<_, io::Error>((rows, count(&to.dir, last_clean), pace))
    });
    let (rows, restarts, pace) = marked.await??;
    Ok(Taken { clean, rows, alarms, pace, tables, restarts })
}

fn read(from: &StateFiles, obeys: bool, up_ms: u64) -> Left {
    Left {
        last: clean_stop_mark::read(&from.dir),
        alarms: if obeys { alarm_file::read(&from.dir) } else { Vec::new() },
        watched: watched_sensors_file::read(&from.dir, up_ms),
        tables: from.table_files.load(&from.table_topics),
    }
}

/// Restores the state. Returns the rows to be queued first, the rows of alarms, and the pace at which the list of watched sensors is written.
fn restore(left: Left, is_new: bool, ingest: &GatewayIngest, clock: Clock) -> (Vec<Row>, Vec<Row>, Pace) {
    let Left { last, alarms, watched: (lists, pace), .. } = left;
    // Rows that found no room have no PUBACK: their senders repeat them.
    let nothing_repeats = (last.clean || is_new) && last.rows.is_empty();
    ingest.set_duplicate_marks(DuplicateMarks::new(clock.now(), nothing_repeats));
    if !is_new {
        ingest.tell_first_alarms();
    }
    // A clean stop's snapshots know more: they are restored behind this.
    let told = ingest.restore_alarms(clock.now(), alarms);
    // It stored its rows, or left them in the mark.
    let told = if last.clean { Vec::new() } else { told };
    let mut rows = last.rows;
    rows.extend(ingest.restore(clock.now(), last.filters));
    ingest.await_sensors(clock.now(), lists);
    (rows, told, pace)
}

fn count(state: &Path, last_clean: Option<bool>) -> StartCounter {
    let (restarts, counted) = StartCounter::count(state, last_clean);
    if let Err(error) = counted {
        tracing::warn!(%error, "this restart is not counted over the next");
    }
    restarts
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
    use edge_bridge::wire::{PropertiesBuilder, Publish, QoS, Utf8, Version};

    use crate::config::Config;

    use super::*;

    #[test]
    fn a_gateway_that_runs_already_is_not_held_up_by_the_disk() {
        assert_eq!(disk_waits(true).0, Duration::ZERO);
        assert!(disk_waits(false).0 > Duration::ZERO, "QoS 0 messages would be dropped");
    }

    /// SIGTERM while a slow disk takes the mark away: what it held is in memory alone, and has to go into the next mark.
    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_a_state_that_is_being_taken_over() {
        let sleep = tokio::time::sleep;
        let stopped_at = |at| Box::pin(sleep(Duration::from_millis(at)));
        for (taken_at, stop_at, expected) in
            [(1_000, 5_000, (Some(7), false)), (1_900, 100, (Some(7), true)), (60_000, 100, (None, true))]
        {
            let mut is_stopping = false;
            let taking = async {
                sleep(Duration::from_millis(taken_at)).await;
                7
            };
            let taken = or_stopped(taking, stopped_at(stop_at).as_mut(), &mut is_stopping).await;
            assert_eq!((taken, is_stopping), expected, "{taken_at} {stop_at}");
        }
    }

    /// The mark goes at the start: a kill a moment later finds them in the list.
    #[tokio::test(flavor = "current_thread")]
    async fn sensors_of_a_clean_stop_are_in_the_list_before_their_mark_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://h\"\n\
                    [[route]]\nmatch = \"#\"\nto = \"up\"\nformat = \"json\"\ninput = \"number\"\n";
        let (mut config, _) = Config::parse(Path::new("g.toml"), text, &|_| None).unwrap();
        let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { stale = { timeout_ms = 60000 } } ]\n";
        config.routes[0].rules = Some(rules.to_owned());
        let ingest = || GatewayIngest::new(&config.routes, DuplicateMarks::default()).unwrap();
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Utf8::from_static("t"),
            packet_id: None,
            properties: PropertiesBuilder::new().finish(),
            payload: Bytes::from_static(b"20"),
        };
        let message = Inbound::new(Utf8::from_static("sensor"), Version::V5, &publish);
        let mut before = ingest();
        assert!(matches!(before.ingest(Now { up_ms: 1, wall_ms: 1 }, &message), Answer::Store(_)));
        clean_stop_mark::leave(dir.path(), || before.filter_states(), &[]).unwrap();
        let files = StateFiles {
            dir: dir.path().to_owned(),
            lanes: 1,
            table_files: TableFiles::new(dir.path()),
            table_topics: Vec::new(),
        };
        let (disk, after) = (DiskWait::new(Duration::from_secs(60)), ingest());
        let taken = read_and_mark(&files, disk, false, (&after, Clock::start())).await.unwrap();
        assert!(taken.clean && !clean_stop_mark::read(dir.path()).clean);
        let sensors = vec![("t".into(), "".into())];
        let expected = Watched { filter_topic: "#".to_owned(), sensors };
        assert_eq!(watched_sensors_file::read(dir.path(), 0).0, [expected]);
    }
}
