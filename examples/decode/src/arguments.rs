//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::format_name::{Kind, Payload};
use crate::size::Size;

#[derive(Debug, Parser)]
#[command(
    name = "edge-decode",
    version,
    about = "Batches of readings to lines, CSV to batches, an MQTT hub to lines"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Frames, or one payload, to JSON lines or CSV
    Decode(Decode),
    /// CSV to frames; or, with --stats, to a table of what each format would take
    Encode(Encode),
    /// What gateways publish to a hub, as JSON lines or CSV, until Ctrl-C
    Subscribe(Box<Subscribe>),
}

#[derive(Debug, Args)]
pub(crate) struct Decode {
    /// Where from, also gzipped, and a pipe is waited for; default: standard input
    #[arg(long = "in", value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// What the payloads are: a content type, or compact, json, cbor, protobuf, columns, senml-json, senml-cbor, sparkplug, or raw
    /// (in frames, if a payload begins with a zero byte or as gzip does); default: compact, and text that is none is printed as it is
    #[arg(long, visible_alias = "format", value_name = "TYPE")]
    pub(crate) content_type: Option<Payload>,
    /// A session table; may be given several times
    #[arg(long = "table", value_name = "FILE")]
    pub(crate) tables: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Encode {
    /// CSV: a column per sensor, a line per reading, or time,value; kinds f64, int and bool; also gzipped; default: standard input
    #[arg(long = "in", value_name = "FILE", conflicts_with = "sample")]
    pub(crate) input: Option<PathBuf>,
    /// Pass over lines that cannot be read, and say how many at the end
    #[arg(long)]
    pub(crate) skip_bad: bool,
    /// Unit of times that are numbers: s, ms, us or ns; default: what the column's name ends in (_s, _us, _ns), else ms
    #[arg(long, value_name = "UNIT")]
    pub(crate) time_unit: Option<edge_csv::TimeUnit>,
    /// The recorded compressor that is built in, instead of an input
    #[arg(long)]
    pub(crate) sample: bool,
    /// Readings per batch; with --stats default: 1, 10, 100 and 1000, else 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) batch: Option<u32>,
    /// compact, json, cbor, protobuf, columns, senml-json, senml-cbor, sparkplug, or a content type
    #[arg(long, visible_alias = "content-type", value_name = "FORMAT", default_value = "compact")]
    pub(crate) format: Kind,
    /// Of compact batches: fast, or small with zstd
    #[arg(long, value_name = "LEVEL", default_value = "fast")]
    pub(crate) level: Level,
    /// Refer to the session table in FILE; it is made of the first rows and written if there is no such file
    #[arg(long, value_name = "FILE")]
    pub(crate) table: Option<PathBuf>,
    /// Where to; default: standard output
    #[arg(long = "out", value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write no batches: print bytes per reading, per format and batch size, against JSON
    #[arg(long)]
    pub(crate) stats: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Subscribe {
    /// mqtt://HOST:PORT or mqtts://HOST:PORT
    pub(crate) url: String,
    /// Topic filter of the batches
    #[arg(long, value_name = "FILTER")]
    pub(crate) topic: String,
    /// Share the messages with the other members of this group
    #[arg(long, value_name = "GROUP")]
    pub(crate) share: Option<String>,
    /// Keep the session at the hub for a day under this name; default: a new one that ends with the connection
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// Keep session tables here, for batches that waited at the hub longer than their table
    #[arg(long, value_name = "DIR")]
    pub(crate) tables: Option<PathBuf>,
    /// Bytes of session tables in that folder; the least recently used are removed
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub(crate) tables_max: Size,
    /// Bytes of decoded session tables in memory; the least recently used are fetched again when they are needed
    #[arg(long, value_name = "SIZE", default_value = "32MiB")]
    pub(crate) tables_memory: Size,
    /// Set messages aside here that cannot be read; default: they are kept unacknowledged at the hub
    #[arg(long, value_name = "DIR")]
    pub(crate) rejects: Option<PathBuf>,
    /// Bytes set aside at most; beyond it messages are kept unacknowledged
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub(crate) rejects_max: Size,
    /// Bytes of a message at most, with its topic and properties; the hub drops larger ones without a word
    #[arg(long, value_name = "SIZE", default_value = "16MiB")]
    pub(crate) message_max: Size,
    /// Format of messages without a content type; default: raw messages
    #[arg(long, value_name = "TYPE")]
    pub(crate) content_type: Option<Kind>,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The authority to trust, PEM; required for mqtts
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Our certificate, PEM
    #[arg(long, value_name = "FILE", requires_all = ["key", "ca"])]
    pub(crate) cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// User name
    #[arg(long, alias = "username", value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Its password: one line, mode 0600; default: the environment's EDGE_DECODE_PASSWORD
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
}

/// Form of the printed readings.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// What to print
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub(crate) to: Lines,
    /// In CSV: an apostrophe before text that a spreadsheet would take for a formula (= + - @)
    #[arg(long)]
    pub(crate) spreadsheet: bool,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lines {
    /// One JSON object for each reading, each on a line of its own.
    Json,
    /// One line per reading.
    Csv,
}

/// Compression level of compact batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Fast,
    Small,
}

impl Level {
    pub(crate) fn codec(self) -> edge_codec::compact::Level {
        match self {
            Self::Fast => edge_codec::compact::Level::Fast,
            Self::Small => edge_codec::compact::Level::Small,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn manual_pages_and_completions_are_whole() {
        assert_eq!(edge_manual::make(Arguments::command()), [""; 0]);
    }
}
