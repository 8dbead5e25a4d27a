//! `edge_filter_fuzz::readings` as a program.
#![cfg_attr(fuzzing, no_main)]

fuzz_replay::program!(edge_filter_fuzz::readings);
