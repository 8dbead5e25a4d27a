//! `edge_codec_fuzz::text_import` as a program.
#![cfg_attr(fuzzing, no_main)]

fuzz_replay::program!(edge_codec_fuzz::text_import);
