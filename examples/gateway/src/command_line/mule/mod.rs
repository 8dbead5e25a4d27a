//! `edge-gateway mule`: carries what waits at a site to its hub on a stick, and brings the receipt back.

mod export;
mod ingest;
mod settle;

use std::process::ExitCode;

use clap::{Args, Subcommand};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Write what waits in the running gateway to a stick; releases nothing
    Export(export::Arguments),
    /// Publish what is on a stick at the hub, as the gateway's link would, and write the receipt beside it
    Ingest(ingest::Arguments),
    /// Release at the running gateway exactly what a receipt says that the hub has
    Settle(settle::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.verb {
        Verb::Export(arguments) => export::run(arguments),
        Verb::Ingest(arguments) => ingest::run(arguments),
        Verb::Settle(arguments) => settle::run(arguments),
    }
}

/// Ending of the names of exports.
const EXPORT: &str = "edgm";
/// Ending of the names of receipts.
const RECEIPT: &str = "receipt";
