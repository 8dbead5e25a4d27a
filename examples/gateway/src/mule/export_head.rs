//! Head of an export: one line in front of the stream, with what is needed beside the rows to make the messages that the link would make. It has
//! no secrets.
#![deny(clippy::indexing_slicing)]

use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edge_bridge::Format as RowFormat;
use edge_bridge::bridge::{BatchLimits, IdentityForm};
use edge_bridge::wire::Utf8;
use serde::{Deserialize, Serialize};

use super::{checksum, number};
use crate::config::{Config, Route};
use crate::run::hub::pack::RouteLimits;

/// First words of the line: name and version of the format.
pub(super) const MAGIC: &str = "edge-mule-export 1 ";
/// Longest head in bytes.
const HEAD_BYTES_MAX: u64 = 1024 * 1024;

/// Facts of a site that its messages depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportHead {
    /// Gateway id of the queue, 16 hexadecimal digits.
    gateway: String,
    /// Name of the gateway, for people.
    pub(crate) name: String,
    /// Form of the identity of raw messages: `text`, `binary` or `off`.
    identity: String,
    batches: Vec<Batches>,
}

/// Limits of the batches of one topic and format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Batches {
    topic: String,
    format: u8,
    rows: usize,
    bytes: Option<usize>,
}

impl ExportHead {
    fn new(gateway: u64, name: &str, identity: IdentityForm, limits: &[RouteLimits]) -> Self {
        let identity = match identity {
            IdentityForm::Binary => "binary",
            IdentityForm::Off => "off",
            _ => "text",
        };
        Self {
            gateway: format!("{gateway:016x}"),
            name: name.to_owned(),
            identity: identity.to_owned(),
            batches: limits.iter().map(Batches::of).collect(),
        }
    }

    /// Returns the gateway id. A head that was read has one.
    pub(crate) fn gateway(&self) -> u64 {
        number(&self.gateway, 16).unwrap_or_default()
    }

    pub(crate) fn identity(&self) -> IdentityForm {
        match self.identity.as_str() {
            "binary" => IdentityForm::Binary,
            "off" => IdentityForm::Off,
            _ => IdentityForm::Text,
        }
    }

    /// Returns the limits of the batches. None waits for further rows: all are there.
    pub(crate) fn limits(&self) -> Vec<RouteLimits> {
        let limits = |batches: &Batches| {
            let (rows, bytes) = (batches.rows.max(1), batches.bytes.unwrap_or(usize::MAX));
            Some(RouteLimits {
                topic: Utf8::try_from(batches.topic.as_str()).ok()?,
                format: RowFormat(batches.format),
                limits: BatchLimits { age_ms: 200, rows, bytes },
            })
        };
        self.batches.iter().filter_map(limits).collect()
    }

    /// Returns the line, its end included.
    fn to_line(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{MAGIC}{} {json}\n", checksum(&json))
    }

    /// Reads the line from the beginning of an export.
    ///
    /// # Errors
    /// It cannot be read, or is none; in words.
    pub(crate) fn read(input: &mut impl BufRead) -> io::Result<Self> {
        let bad = |text: &str| io::Error::new(io::ErrorKind::InvalidData, format!("line 1: {text}"));
        let mut line = Vec::new();
        input.take(HEAD_BYTES_MAX).read_until(b'\n', &mut line)?;
        let line = String::from_utf8(line).map_err(|_| bad("no export of a data mule"))?;
        let line = line.strip_suffix('\n').ok_or_else(|| bad("the head of the export has no end"))?;
        let rest = line.strip_prefix(MAGIC);
        let rest = rest.ok_or_else(|| bad("no export of a data mule, or one of a newer version"))?;
        let whole = rest.split_once(' ').filter(|(sum, json)| checksum(json) == *sum);
        let (_, json) = whole.ok_or_else(|| bad("the head of the export is damaged"))?;
        let head: Self = serde_json::from_str(json).map_err(|error| bad(&error.to_string()))?;
        if head.gateway.len() != 16 || number(&head.gateway, 16).is_none() {
            return Err(bad("the gateway id has 16 hexadecimal digits"));
        }
        Ok(head)
    }
}

impl Batches {
    fn of(route: &RouteLimits) -> Self {
        Self {
            topic: route.topic.as_str().to_owned(),
            format: route.format.0,
            rows: route.limits.rows,
            bytes: Some(route.limits.bytes).filter(|bytes| *bytes < usize::MAX),
        }
    }
}

/// Head of the exports of a running gateway, which follows its routes. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct CurrentHead(Arc<Mutex<ExportHead>>);

impl CurrentHead {
    /// Creates the head of a gateway with this id of its queue.
    pub(crate) fn of(gateway: u64, config: &Config) -> Self {
        let limits = RouteLimits::of(&config.routes);
        let head = ExportHead::new(gateway, &config.id, config.hub.identity, &limits);
        Self(Arc::new(Mutex::new(head)))
    }

    /// Takes over the limits of changed routes.
    pub(crate) fn follow(&self, routes: &[Route]) {
        let limits = RouteLimits::of(routes);
        self.lock().batches = limits.iter().map(Batches::of).collect();
    }

    /// Returns the line of an export that begins now.
    pub(crate) fn to_line(&self) -> String {
        self.lock().to_line()
    }

    fn lock(&self) -> MutexGuard<'_, ExportHead> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written_and_damage_is_said() {
        let limits = BatchLimits { age_ms: 200, rows: 7, bytes: 900 };
        let route = RouteLimits { topic: Utf8::from_static("up/t"), format: RowFormat(4), limits };
        let head = ExportHead::new(0xab, "site7", IdentityForm::Binary, &[route]);
        let line = head.to_line();
        assert_eq!(ExportHead::read(&mut line.as_bytes()).unwrap(), head);
        assert_eq!(
            (head.gateway(), head.identity(), head.limits()[0].limits),
            (0xab, IdentityForm::Binary, limits)
        );
        for at in 0..line.len() {
            let mut bytes = line.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(ExportHead::read(&mut bytes.as_slice()).is_err(), "{at}");
            assert!(ExportHead::read(&mut &line.as_bytes()[..at]).is_err(), "{at}");
        }
    }
}
