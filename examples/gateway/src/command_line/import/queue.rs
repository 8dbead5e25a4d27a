//! Import of `[queue]` from the limits of Mosquitto's queues.

use mosquitto_conf::conf::Line;
use mosquitto_conf::values::{limit, number};

use super::output::{Output, Part, quoted, size};
use super::pools::Pool;

const PART: Part = Part::Queue;
/// Bounds of `max_messages`, `max_bytes` and `window`.
const MESSAGES_MAX: u64 = 1_000_000_000;
const BYTES_MIN: u64 = 1 << 20;
const BYTES_MAX: u64 = 1 << 40;
const WINDOW_MAX: u64 = 65_535;
/// Most messages that may wait for one client of the gateway.
const WAITING_MAX: u64 = 100_000;

/// Writes the table. Returns whether it limits the number of messages. `listens`: local clients are the gateway's own, and have that limit too.
pub(super) fn queue(broker: &mut Pool, listens: bool, output: &mut Output) -> bool {
    let has_limit = messages(broker, listens, output);
    if let Some(line) = broker.take_last(&["max_queued_bytes"], PART, output) {
        bytes(&line, output);
    }
    if let Some(line) = broker.take_last(&["autosave_interval"], PART, output) {
        autosave(&line, output);
    }
    if let Some(line) = broker.take_last(&["max_inflight_messages"], PART, output) {
        match limit::<u64>(&line.value) {
            Ok(0) => output.leave(Part::Hub, &line, "no limit of its own: the hub's holds"),
            Ok(most) => {
                let window = most.min(WINDOW_MAX).to_string();
                output.key(Part::Hub, "window", &window, &[(&line).into()], "");
            }
            Err(error) => output.leave_with_warning(Part::Hub, &line, &error),
        }
    }
    has_limit
}

fn messages(broker: &mut Pool, listens: bool, output: &mut Output) -> bool {
    let Some(line) = broker.take_last(&["max_queued_messages"], PART, output) else { return false };
    match limit::<u64>(&line.value) {
        Ok(0) if listens => {
            waiting(&line, WAITING_MAX, "the queue has max_bytes alone", output);
            let text = format!("max_queued_messages 0: there is a limit here, {WAITING_MAX} for each client");
            output.warn(Some((&line).into()), &text);
        }
        Ok(0) => output.leave(PART, &line, "no limit: here max_bytes is one, 64 MiB without the key"),
        Ok(most) => {
            let value = most.min(MESSAGES_MAX).to_string();
            output.key(PART, "max_messages", &value, &[(&line).into()], "");
            if listens {
                waiting(&line, most.min(WAITING_MAX), "", output);
                if most > WAITING_MAX {
                    let text = format!("max_queued_messages {most}: for each client {WAITING_MAX} at most");
                    output.warn(Some((&line).into()), &text);
                }
            }
            let text = format!(
                "above {most} messages Mosquitto keeps the OLDEST and drops what comes; here the oldest go. The other way: on_full = \"drop-newest\""
            );
            output.warn(Some((&line).into()), &text);
            return true;
        }
        Err(error) => output.leave_with_warning(PART, &line, &error),
    }
    false
}

/// Writes the limit of what waits for each client of the listener.
fn waiting(line: &Line, most: u64, further: &str, output: &mut Output) {
    let further = if further.is_empty() { String::new() } else { format!("; {further}") };
    let remark = format!("for each client{further}");
    output.key(Part::Local, "max_queued_messages", &most.to_string(), &[line.into()], &remark);
}

fn bytes(line: &Line, output: &mut Output) {
    match limit::<u64>(&line.value) {
        Ok(0) => output.leave(PART, line, "no limit: here max_bytes is one, 64 MiB without the key"),
        Ok(most) => {
            let taken = most.clamp(BYTES_MIN, BYTES_MAX);
            output.key(PART, "max_bytes", &size(taken), &[line.into()], "");
            if taken != most {
                let text = format!("max_queued_bytes: {most} is none of a queue on disk: {}", size(taken));
                output.warn(Some(line.into()), &text);
            }
        }
        Err(error) => output.leave_with_warning(PART, line, &error),
    }
}

/// Writes `ack_within` from the interval at which Mosquitto saves its database.
fn autosave(line: &Line, output: &mut Output) {
    match number::<u64>(&line.value) {
        Ok(seconds) => {
            let was = if seconds == 0 {
                "in Mosquitto: nothing is saved before its end".to_owned()
            } else {
                format!("in Mosquitto: up to {seconds} s are lost with the power")
            };
            output.key(PART, "ack_within", &quoted("1s"), &[line.into()], &was);
        }
        Err(error) => output.leave_with_warning(PART, line, &error),
    }
}
