//! `edge_bridge_fuzz::listener` as a program.
#![cfg_attr(fuzzing, no_main)]

fuzz_replay::program!(edge_bridge_fuzz::listener);
