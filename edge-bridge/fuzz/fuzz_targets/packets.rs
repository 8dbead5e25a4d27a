//! `edge_bridge_fuzz::packets` as a program.
#![cfg_attr(fuzzing, no_main)]

fuzz_replay::program!(edge_bridge_fuzz::packets);
