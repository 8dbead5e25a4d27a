//! Plan caches of a column: the plans that encoded its values best in the last batches, so that searches are rare. Batches without a session
//! table carry every plan ([`inline`]); with one, using a plan of the table costs a bit ([`table`]).

pub(super) mod inline;
mod search_backoff;
mod search_policy;
pub(super) mod table;
#[cfg(test)]
mod test_regimes;
