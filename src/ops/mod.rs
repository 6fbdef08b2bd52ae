//! What operators use: status, retry, prune, dead letters, the delivery history of an event, doctor.

pub mod attempts;
pub mod dead_letters;
pub mod delivery_history;
pub mod doctor;
pub mod excerpt;
mod pages;
pub mod prune;
pub mod retry;
pub mod status;
