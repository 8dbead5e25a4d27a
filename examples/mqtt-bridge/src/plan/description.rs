//! Description of a plan in words, for `--check`.

use std::fmt;

use super::{Plan, in_queue, message_bytes_max};
use crate::one_line::OneLine;
use crate::section::Protocol;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let section = &self.section;
        let version = match section.protocol {
            Protocol::Any => "MQTT 5, or 3.1.1 where the hub has no other",
            Protocol::V5 => "MQTT 5",
            Protocol::V311 => "MQTT 3.1.1",
        };
        let tls = if section.tls.is_on() { ", TLS" } else { "" };
        writeln!(f, "connection {}", OneLine(&section.name))?;
        writeln!(
            f,
            "  hub      {}{tls}, {version}, client id {}",
            OneLine(&section.addresses.join(" ")),
            OneLine(&self.remote_client_id)
        )?;
        let session = match self.session_expiry_s() {
            0 => "ends with the connection".to_owned(),
            u32::MAX => "kept for ever".to_owned(),
            seconds => format!("kept for {seconds} s"),
        };
        writeln!(f, "  session  {session}, keep alive {} s", section.keep_alive_s)?;
        match &self.local {
            Some(local) => {
                writeln!(f, "  local    {}, client id {}", OneLine(local), OneLine(&self.local_client_id))?;
            }
            None => writeln!(f, "  local    the broker of this program")?,
        }
        self.queues(f)?;
        if let Some(topic) = self.notification_topic() {
            let there = if section.notifications_local_only { "the local broker" } else { "both sides" };
            writeln!(f, "  state    1 or 0 on {}, retained, at {there}", OneLine(&topic))?;
        }
        for topic in &section.topics {
            let line = topic.place.line;
            if let Some(filter) = topic.rule.local_filter() {
                writeln!(
                    f,
                    "  out      line {line}: \"{}\" here → prefix \"{}\" at the hub",
                    OneLine(filter),
                    OneLine(topic.rule.remote_prefix())
                )?;
            }
            if let Some(filter) = topic.rule.remote_filter() {
                writeln!(
                    f,
                    "  in       line {line}: \"{}\" at the hub → prefix \"{}\" here",
                    OneLine(filter),
                    OneLine(topic.rule.local_prefix())
                )?;
            }
        }
        Ok(())
    }
}

impl Plan {
    /// Writes the queues, and in which order they go.
    fn queues(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.limits.max_queued_bytes.as_ref().map(|(_, bytes)| *bytes).filter(|bytes| *bytes > 0);
        let brings = !self.in_filters().is_empty();
        let queues = [
            (&self.spools[0], self.queue(), bytes, Some("the oldest go")),
            (&self.spools[1], in_queue(), None, brings.then_some("the hub keeps what comes at QoS 1 and 2")),
        ];
        for (dir, queue, bytes, when_full) in queues {
            if let Some(when_full) = when_full {
                let (dir, mib) = (dir.to_string_lossy(), queue.disk_bytes().div_ceil(1 << 20));
                writeln!(
                    f,
                    "  queue    {}, {mib} MiB of disk, messages of at most {} bytes; when it is full {when_full}",
                    OneLine(&dir),
                    message_bytes_max(bytes)
                )?;
            }
        }
        if self.is_live_first {
            let text = "live first: messages of a topic may arrive out of order, and a retained one replace a newer one at the hub";
            writeln!(f, "  order    {text}")?;
        }
        Ok(())
    }
}
