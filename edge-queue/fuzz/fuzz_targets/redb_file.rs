//! `edge_queue_fuzz::redb_file` as a program.
#![cfg_attr(fuzzing, no_main)]

fuzz_replay::program!(edge_queue_fuzz::redb_file);
