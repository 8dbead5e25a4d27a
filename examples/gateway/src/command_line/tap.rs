//! `edge-gateway tap`: shows live samples of messages at a stage of their way through the running gateway, by a request over the socket in its
//! state directory.

#![allow(clippy::disallowed_methods, reason = "a command: a socket, the screen")]

mod text;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use edge_page::is_hidden;

use super::control_client::{Failed, StateArguments, UNAVAILABLE, ask_on, complain, open};
use super::parked::filter;
use crate::run::tap::{Line, Request, Stage, Wish};

/// Time beyond `--for` within which the gateway has to end the tap.
const GRACE: Duration = Duration::from_secs(10);
/// Longest wait for a sample without `--for`.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);

#[derive(Args)]
pub(crate) struct Arguments {
    /// Topic filter: at `in` and `filtered` of topics as sensors publish them (or of sensors' names), at `stored` and `sent` as the hub sees them
    #[arg(value_name = "TOPIC", value_parser = filter)]
    topic: String,
    #[command(flatten)]
    gateway: StateArguments,
    /// Stage at which samples are taken: `in`, or `filtered` with --why, unless it is given
    #[arg(long, value_enum, value_name = "STAGE")]
    at: Option<Stage>,
    /// Number of samples after which it ends
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Seconds after which it ends in any case; exit code 1 if there was no sample
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: Option<u32>,
    /// At `filtered` also show each reading that the filter suppressed or holds, and messages that are none, with the reason
    #[arg(long)]
    why: bool,
    /// One JSON object for each sample, each on a line of its own
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let stage = arguments.at.unwrap_or(if arguments.why { Stage::Filtered } else { Stage::In });
    if arguments.why && stage != Stage::Filtered {
        edge_print::complain!(
            "edge-gateway: --why says why readings pass a filter or not: use it with --at filtered"
        );
        return ExitCode::from(2);
    }
    let state = match arguments.gateway.dir() {
        Ok(state) => state,
        Err(text) => return complain(&text, 2),
    };
    let wish = Wish { stage, why: arguments.why, filter: arguments.topic.clone() };
    let Arguments { samples, seconds, .. } = *arguments;
    let request = Request { wish, samples, seconds };
    let within = seconds.map_or(FOR_EVER, |seconds| Duration::from_secs(seconds.into()) + GRACE);
    let mut output = Output { is_json: arguments.json, samples: 0, has_reader: true };
    let stream = open(&state);
    let done =
        stream.and_then(|stream| ask_on(stream, &request.to_string(), within, |line| output.show(line)));
    match done {
        // It has seen enough.
        _ if !output.has_reader => ExitCode::SUCCESS,
        Ok(_) if output.samples > 0 => ExitCode::SUCCESS,
        Ok(_) => complain(&format!("no sample of \"{}\" at `{stage}` in this time", arguments.topic), 1),
        Err(Failed::Answer(text)) => complain(&text, 1),
        Err(Failed::Nobody(text)) => {
            let code = complain(&text, UNAVAILABLE);
            edge_print::complain!(
                "Taps are of a gateway that runs: start it with `edge-gateway run`, name its state directory by --state, and be its user or root."
            );
            code
        }
    }
}

struct Output {
    is_json: bool,
    /// Number of samples shown.
    samples: u64,
    has_reader: bool,
}

impl Output {
    fn show(&mut self, json: &str) -> io::Result<()> {
        let line: Line = serde_json::from_str(json)?;
        self.samples += u64::from(matches!(line, Line::Sample { .. }));
        let text = match self.is_json {
            // The gateway escapes them.
            true => json.replace(is_hidden, "\u{fffd}") + "\n",
            false => format!("{}\n", text::Text(&line)),
        };
        let mut out = io::stdout();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.has_reader = !written.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
        written
    }
}
