//! `codec.*`: bytes per reading and speed of the formats on real series, readings of all sensors interleaved in time as a
//! gateway sees them, beside what people use today.
//!
//! Names and units stand in every reading (JSON), in every batch (`self`, CBOR, Protobuf), or in a session table (`table`,
//! Sparkplug's aliases), whose bytes are counted, spread over a day of a batch each 10 s. Figures with `.id` carry an identity
//! too, as a gateway's batches do; the others carry none.

mod peers;
mod series;
mod sets;
mod sizes;
mod speed;
mod speed_peers;

use sets::{BATCHES, SETS};

pub(crate) fn list() -> Vec<String> {
    let formats = sizes::FORMATS
        .iter()
        .flat_map(|format| BATCHES.map(|batch| format!("codec.bytes.{}.b{batch}", format.name)));
    let alone = [
        "codec.bytes.compact.fast.table.series.b1000",
        "codec.bytes.compact.fast.table.series.b1000.worst",
        "codec.bytes.pco.series.b1000",
        "codec.bytes.identity.b1",
        "codec.bytes.identity.b1000",
    ]
    .map(str::to_owned);
    let speeds = speed::figures()
        .into_iter()
        .flat_map(|figure| speed::BATCHES.map(|batch| format!("codec.{figure}.b{batch}")));
    let sets = || SETS.into_iter().chain(["geomean"]);
    formats
        .chain(alone)
        .chain(speeds)
        .flat_map(|figure| sets().map(move |set| format!("{figure}.{set}")))
        .collect()
}

/// Measures on the sets of a directory, by default on those in the repository.
pub(crate) fn run(data: Option<&str>) -> Result<(), String> {
    let sets = sets::load(data)?;
    sizes::run(&sets)?;
    speed::run(&sets)
}
