//! `edge_codec_fuzz::tables` as a program.
#![cfg_attr(fuzzing, no_main)]

fuzz_replay::program!(edge_codec_fuzz::tables);
