//! Plan caches of a column: how its values were best written in the last batches, so that a search is rare. Batches
//! without a session table carry every plan ([`inline`]); with one, a plan of the table's costs a bit ([`table`]).

pub(super) mod inline;
#[cfg(test)]
mod regimes;
mod search_backoff;
mod search_policy;
pub(super) mod table;
