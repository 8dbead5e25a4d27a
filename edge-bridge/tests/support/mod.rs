//! Real Mosquitto processes and a relay to cut the link with.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod mosquitto;
pub mod relay;
