//! `edge-gateway run FILE --state DIR`: sensors → filter → queue → hub.

mod batch;
mod clean_stop;
mod formats;
mod ingest;
mod pack;
mod reading_row;
mod readings;
mod restarted;
mod route;
