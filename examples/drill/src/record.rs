//! The drill's records: what was acknowledged to a sensor, and what arrived at the hub. One JSON object per line.
//!
//! `acks.jsonl`: first line [`Header`], then one [`Acked`] per acknowledged message. `hub.jsonl`: one [`Arrived`] per
//! message (`raw`) or reading (`filtered`). The verdict is computed from nothing else, so anyone can compute it again.

#![allow(clippy::disallowed_methods, reason = "writes and reads the files of --record")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::work_folder::{make, naming};

pub(crate) const SCHEMA: u32 = 1;
pub(crate) const ACKS_FILE: &str = "acks.jsonl";
pub(crate) const HUB_FILE: &str = "hub.jsonl";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    /// Message that must arrive bit by bit.
    Raw,
    /// Reading that may be suppressed while another one represents it.
    Filtered,
}

/// First line of `acks.jsonl`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) schema: u32,
    pub(crate) seed: u64,
    /// Prefix that the gateway puts before the topic of a `raw` message.
    pub(crate) raw_prefix: String,
    /// Largest allowed difference per sensor of class `filtered`.
    pub(crate) tolerance: BTreeMap<String, f64>,
    /// Sensors of class `filtered` without a filter: each of their readings has to arrive itself.
    #[serde(default)]
    pub(crate) unfiltered: BTreeSet<String>,
}

/// Content of a `filtered` message. Times are Unix milliseconds, quality is an OPC UA StatusCode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) sensor: String,
    pub(crate) event_time: i64,
    /// Value of the reading; `null` stands for NaN, because JSON has no word for a number that is not finite.
    #[serde(deserialize_with = "number_or_nan")]
    pub(crate) value: f64,
    /// The value where it is a text; `value` is `null` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    pub(crate) quality: u32,
}

/// A message that the gateway acknowledged to a sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Acked {
    pub(crate) class: Class,
    pub(crate) client: String,
    pub(crate) topic: String,
    pub(crate) sha256: String,
    /// Unix time of the first transmission, in milliseconds.
    pub(crate) first_sent: i64,
    /// Unix time of the PUBACK, in milliseconds.
    pub(crate) time: i64,
    #[serde(flatten)]
    pub(crate) reading: Option<Reading>,
}

/// A message, or one reading of a batch, at the hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Arrived {
    pub(crate) class: Class,
    /// The sensor that sent it, as far as the hub can tell.
    pub(crate) client: Option<String>,
    pub(crate) topic: String,
    /// Hash of the MQTT payload; for a reading of a batch, of the whole batch.
    pub(crate) sha256: String,
    pub(crate) time: i64,
    /// The identity the gateway gave (`edge-id`, or `id` of a batch); a copy of a stored row repeats it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Mark of a possible duplicate (`edge-pd`, `pd` of a batch, or the DUP flag).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) pd: bool,
    #[serde(flatten)]
    pub(crate) reading: Option<Reading>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Records {
    pub(crate) header: Header,
    pub(crate) acks: Vec<Acked>,
    pub(crate) hub: Vec<Arrived>,
}

impl Records {
    /// Writes both files into `dir`, which is created.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        make(dir)?;
        let [acks, hub] = [ACKS_FILE, HUB_FILE].map(|name| dir.join(name));
        self.write_acks(&acks).map_err(naming(&acks))?;
        self.write_hub(&hub).map_err(naming(&hub))
    }

    fn write_acks(&self, file: &Path) -> io::Result<()> {
        let mut acks = BufWriter::new(File::create(file)?);
        write_line(&mut acks, &self.header)?;
        for ack in &self.acks {
            write_line(&mut acks, ack)?;
        }
        acks.flush()
    }

    fn write_hub(&self, file: &Path) -> io::Result<()> {
        let mut hub = BufWriter::new(File::create(file)?);
        for arrived in &self.hub {
            write_line(&mut hub, arrived)?;
        }
        hub.flush()
    }

    /// # Errors
    /// Says the file and the line of what cannot be read.
    pub(crate) fn read(dir: &Path) -> io::Result<Self> {
        let mut acks = lines(dir, ACKS_FILE)?;
        let header: Header = match acks.next() {
            Some(line) => parse(ACKS_FILE, line)?,
            None => return Err(bad(format!("{ACKS_FILE}: empty, expected a header line"))),
        };
        if header.schema != SCHEMA {
            return Err(bad(format!("{ACKS_FILE}:1: schema {}, this program reads {SCHEMA}", header.schema)));
        }
        Ok(Self {
            header,
            acks: acks.map(|line| parse(ACKS_FILE, line)).collect::<io::Result<_>>()?,
            hub: lines(dir, HUB_FILE)?.map(|line| parse(HUB_FILE, line)).collect::<io::Result<_>>()?,
        })
    }
}

/// Returns the SHA-256 in lower-case hexadecimal digits.
pub(crate) fn sha256_hex(payload: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(payload).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Line number and text.
type Line = (usize, io::Result<String>);

fn lines(dir: &Path, name: &str) -> io::Result<impl Iterator<Item = Line> + use<>> {
    let path = dir.join(name);
    let file = File::open(&path).map_err(naming(&path))?;
    Ok(BufReader::new(file).lines().enumerate().map(|(index, line)| (index + 1, line)))
}

fn parse<T: for<'de> Deserialize<'de>>(name: &str, (number, line): Line) -> io::Result<T> {
    serde_json::from_str(&line?).map_err(|e| bad(format!("{name}:{number}: {e}")))
}

fn bad(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn number_or_nan<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Records {
        let reading =
            Reading { sensor: "t".into(), event_time: 5, value: 0.1 + 0.2, text: None, quality: 0x8000_0000 };
        let raw = Acked {
            class: Class::Raw,
            client: "a".into(),
            topic: "plant/raw/a".into(),
            sha256: sha256_hex(b"x"),
            first_sent: 1,
            time: 2,
            reading: None,
        };
        let filtered = Acked { class: Class::Filtered, reading: Some(reading.clone()), ..raw.clone() };
        let arrived = Arrived {
            class: Class::Filtered,
            client: None,
            topic: "site/f".into(),
            sha256: sha256_hex(b"y"),
            time: 9,
            id: Some("7-0-1-4".into()),
            pd: true,
            reading: Some(reading),
        };
        let header = Header {
            schema: SCHEMA,
            seed: u64::MAX,
            raw_prefix: "site/".into(),
            tolerance: BTreeMap::from([("t".into(), 0.5)]),
            unfiltered: BTreeSet::from(["u".into()]),
        };
        Records { header, acks: vec![raw, filtered], hub: vec![arrived] }
    }

    #[test]
    fn what_is_written_reads_back_bit_by_bit() {
        let dir = tempfile::tempdir().unwrap();
        records().write(dir.path()).unwrap();
        assert_eq!(Records::read(dir.path()).unwrap(), records());
    }

    #[test]
    fn a_line_holds_the_documented_names() {
        let records = records();
        let ack: serde_json::Value = serde_json::to_value(&records.acks[1]).unwrap();
        for name in [
            "class",
            "client",
            "topic",
            "sha256",
            "first_sent",
            "time",
            "sensor",
            "event_time",
            "value",
            "quality",
        ] {
            assert!(ack.get(name).is_some(), "{name}");
        }
        assert_eq!(ack["class"], "filtered");
        assert!(serde_json::to_value(&records.acks[0]).unwrap().get("sensor").is_none());
    }

    #[test]
    fn a_value_that_is_not_a_number_survives_as_one() {
        let mut records = records();
        records.hub[0].reading.as_mut().unwrap().value = f64::NAN;
        let dir = tempfile::tempdir().unwrap();
        records.write(dir.path()).unwrap();
        let back = Records::read(dir.path()).unwrap();
        assert!(back.hub[0].reading.as_ref().unwrap().value.is_nan());
    }

    #[test]
    fn a_bad_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        records().write(dir.path()).unwrap();
        std::fs::write(dir.path().join(HUB_FILE), "{}\n").unwrap();
        assert!(Records::read(dir.path()).unwrap_err().to_string().starts_with("hub.jsonl:1: missing field"));
        std::fs::write(dir.path().join(ACKS_FILE), "").unwrap();
        assert!(Records::read(dir.path()).unwrap_err().to_string().contains("expected a header line"));
        std::fs::remove_file(dir.path().join(ACKS_FILE)).unwrap();
        assert!(Records::read(dir.path()).unwrap_err().to_string().contains("acks.jsonl"));
    }

    /// A folder in their place stands for whatever keeps them from being written.
    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        for name in [ACKS_FILE, HUB_FILE] {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join(name);
            std::fs::create_dir(&file).unwrap();
            let error = records().write(dir.path()).unwrap_err().to_string();
            assert!(error.starts_with(&file.display().to_string()), "{error}");
        }
    }

    #[test]
    fn the_digest_is_sha_256() {
        assert!(sha256_hex(b"abc").starts_with("ba7816bf8f01cfea414140de5dae2223"));
        assert_eq!(sha256_hex(b"").len(), 64);
    }
}
