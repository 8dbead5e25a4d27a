//! placeholder
mod record;
mod relay;
mod rng;
mod series;
mod story;
mod verdict;
