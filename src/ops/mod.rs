//! What operators use: status, retry, prune, dead letters, the delivery history of an event, doctor.

pub mod attempts;
pub mod bulk;
pub mod dead_letters;
pub mod delivery_history;
pub mod doctor;
mod pages;
pub mod prune;
mod recipient;
pub mod status;
