//! Commands of local clients and of the hub to the filters' alarms, as the ingest handles them.

use std::fmt;
use std::sync::Arc;

use control_loop::mqtt::{Reply, Told};
use edge_bridge::Row;
use edge_bridge::ingest::{Answer, Inbound, Now};
use edge_bridge::wire::{Publish, Utf8, Version};
use tokio::sync::Notify;

use crate::run::filters::filter::Filter;
use crate::run::filters::readings::Taken;
use crate::run::local_control::alarm_commands::dispatcher::{AlarmDispatcher, By, alarm_topic};
use crate::run::local_control::alarm_file::KeptAlarms;
use crate::run::sensors::held_receipts::Link;

use super::last_answer::LastAnswer;
use super::{GatewayIngest, Inner};

/// Lane of rows that a command to an alarm makes.
pub(in crate::run) const ALARM_LANE: u8 = 0;

/// Dispatcher of commands to alarms, and its surroundings.
pub(super) struct Commanded {
    dispatcher: AlarmDispatcher,
    /// Notified when alarm states have to be written to disk.
    to_keep: Arc<Notify>,
    has_room: Box<dyn Fn(u8) -> bool + Send>,
}

impl fmt::Debug for Commanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commanded").field("dispatcher", &self.dispatcher).finish_non_exhaustive()
    }
}

impl GatewayIngest {
    /// Accepts alarm commands of local clients from now on. `to_keep` is notified when alarm states are to be written to disk. `has_room` tells
    /// whether a lane has room, without which a command is refused.
    pub(crate) fn obey(
        &self,
        dispatcher: AlarmDispatcher,
        to_keep: Arc<Notify>,
        has_room: impl Fn(u8) -> bool + Send + 'static,
    ) {
        let mut inner = self.lock();
        inner.alarms = Some(Commanded { dispatcher, to_keep, has_room: Box::new(has_room) });
        inner.routes.iter_mut().filter_map(|route| route.filter_mut()).for_each(Filter::tell_alarms);
    }

    /// Returns whether commands to alarms are on.
    pub(crate) fn obeys(&self) -> bool {
        self.lock().alarms.is_some()
    }

    /// Returns whether a message on this topic is a command to a filter's alarm.
    pub(crate) fn is_alarm_command(&self, topic: &str) -> bool {
        self.lock().alarm_command_of(topic).is_some()
    }

    /// Carries out a command of the hub, which is on its local topic. Returns the rows of the alarm's change, and the receipts that depend on them. The
    /// end goes to `reply`: that of an obeyed one when the alarm's state is on disk.
    pub(crate) fn hub_alarm_command(&self, now: Now, publish: &Publish, reply: Reply) -> (Vec<Row>, Link) {
        let mut inner = self.lock();
        let now = inner.arrival.map(now);
        let message = Inbound::new(Utf8::default(), Version::V5, publish);
        let topic = inner.alarm_command_of(publish.topic.as_str()).unwrap_or_default();
        match inner.obey_alarm_command(now, topic, &message, By::Hub(reply)) {
            Ok(done) => done,
            Err((why, by)) => {
                inner.refuse_alarm_command(now, topic, &message, &why, by);
                Default::default()
            }
        }
    }

    /// Returns the alarm states that commands made, and the number of commands that wait until these are on disk.
    pub(crate) fn alarms_to_keep(&self) -> (Vec<KeptAlarms>, usize) {
        let inner = self.lock();
        let kept = inner.routes.iter().filter_map(|route| {
            let alarms = route.filter()?.alarms_by_command();
            (!alarms.is_empty()).then(|| KeptAlarms { filter_topic: route.filter_topic.clone(), alarms })
        });
        (kept.collect(), inner.alarms.as_ref().map_or(0, |alarms| alarms.dispatcher.unkept()))
    }

    /// Publishes changes of alarms that waited for room. Called when a message of the dispatcher was published.
    pub(crate) fn tell_waiting_alarms(&self) {
        if let Some(alarms) = &mut self.lock().alarms {
            alarms.dispatcher.tell_waiting();
        }
    }

    /// Takes the answers to the oldest `count` of these commands.
    pub(crate) fn alarms_are_kept(&self, count: usize) -> Vec<Told> {
        self.lock().alarms.as_mut().map(|alarms| alarms.dispatcher.kept(count)).unwrap_or_default()
    }

    /// Restores the alarm states that the last process kept. Returns rows that report them, because a kill may have lost the rows of the changes
    /// that led there.
    pub(crate) fn restore_alarms(&self, now: Now, kept: Vec<KeptAlarms>) -> Vec<Row> {
        self.lock().restore_alarms(now, kept)
    }
}

impl Inner {
    pub(super) fn restore_alarms(&mut self, now: Now, kept: Vec<KeptAlarms>) -> Vec<Row> {
        let mut rows = Vec::new();
        for KeptAlarms { filter_topic, alarms } in kept {
            let Some(route) = self.routes.iter_mut().find(|route| route.filter_topic == filter_topic) else {
                continue;
            };
            let mut taken = Taken::default();
            if let Some(filter) = route.filter_mut() {
                filter.restore_alarms(now, alarms, &mut taken);
            }
            rows.extend(route.rows(taken).0);
        }
        rows
    }

    /// Has the alarm states on disk compared with those of now, and replaced.
    pub(super) fn keep_alarms(&self) {
        if let Some(alarms) = &self.alarms {
            alarms.to_keep.notify_one();
        }
    }

    /// Returns the part of a topic after `cmd/alarm/`. `None`: the topic is no command to a filter's alarm.
    pub(super) fn alarm_command_of<'t>(&self, topic: &'t str) -> Option<&'t str> {
        self.alarms.as_ref().and_then(|_| alarm_topic(topic, self.loops.as_deref()))
    }

    /// Performs a command. The rows of an obeyed command are those of the alarm's change, and its PUBACK waits for them as any message's does. A
    /// refused command is absorbed, and only its sender gets an answer with the reason.
    pub(super) fn alarm_command(
        &mut self,
        now: Now,
        topic: &str,
        message: &Inbound,
        last: &mut LastAnswer,
    ) -> Answer {
        match self.obey_alarm_command(now, topic, message, By::Client) {
            Ok((rows, link)) => {
                last.set_link(link);
                Answer::Store(rows)
            }
            Err((why, by)) => {
                self.refuse_alarm_command(now, topic, message, &why, by);
                Answer::Absorb
            }
        }
    }

    fn refuse_alarm_command(&mut self, now: Now, topic: &str, message: &Inbound, why: &str, by: By) {
        if let Some(alarms) = &mut self.alarms {
            alarms.dispatcher.refuse(topic, message, why, by, now);
        }
    }

    fn obey_alarm_command(
        &mut self,
        now: Now,
        topic: &str,
        message: &Inbound,
        by: By,
    ) -> Result<(Vec<Row>, Link), (String, By)> {
        match self.change_alarm(now, topic, message, &by) {
            Ok(rows) => {
                if let Some(alarms) = &mut self.alarms {
                    alarms.dispatcher.obeyed(topic, message, by);
                    alarms.to_keep.notify_one();
                }
                self.tell_alarms();
                Ok(rows)
            }
            Err(why) => Err((why, by)),
        }
    }

    fn change_alarm(
        &mut self,
        now: Now,
        topic: &str,
        message: &Inbound,
        by: &By,
    ) -> Result<(Vec<Row>, Link), String> {
        let Some(alarms) = &mut self.alarms else { return Err("commands are off".to_owned()) };
        let command = alarms.dispatcher.admit(topic, message, by)?;
        if !(alarms.has_room)(ALARM_LANE) {
            return Err("the queue has no room for it now".to_owned());
        }
        let has_alarm = |filter: &Filter| filter.has_alarm(command.0);
        let mut those = self.routes.iter_mut().filter(|route| route.filter().is_some_and(has_alarm));
        let Some(route) = those.next() else {
            return Err("no sensor of this name has an alarm, or none was heard of".to_owned());
        };
        if those.next().is_some() {
            return Err("several routes have a sensor of this name with an alarm".to_owned());
        }
        alarms.dispatcher.take_turn(by, now)?;
        let mut taken = Taken::default();
        if let Some(filter) = route.filter_mut() {
            filter.alarm_command(now, command, &mut taken).map_err(|error| error.to_string())?;
        }
        Ok(route.rows(taken))
    }

    /// Reports changes of alarms to local clients, and notifies the task that keeps them on disk.
    pub(super) fn tell_alarms(&mut self) {
        let Some(Commanded { dispatcher, to_keep, .. }) = &mut self.alarms else { return };
        for filter in self.routes.iter_mut().filter_map(|route| route.filter_mut()) {
            let changes = filter.take_alarm_changes();
            changes.all.into_iter().for_each(|(sensor, transition)| dispatcher.changed(sensor, transition));
            if changes.is_kept {
                to_keep.notify_one();
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
