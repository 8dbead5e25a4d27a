//! Manual pages and completions of the program `edge-queue`, made of its own command line.

#[path = "../src/bin/edge-queue.rs"]
#[allow(dead_code, reason = "the program as a module: only the definition of its command line is used")]
mod program;

use clap::CommandFactory;

#[test]
fn manual_pages_and_completions_are_whole() {
    assert_eq!(edge_manual::make(program::Arguments::command()), [""; 0]);
}
