//! placeholder
mod record;
mod relay;
mod report;
mod rng;
mod series;
mod story;
mod verdict;
