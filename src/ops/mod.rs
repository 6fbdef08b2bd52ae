//! Looking after what has gathered: how things stand, putting failures back, deleting what is old,
//! what became of what was to leave the building, and checking that all is set up.

pub mod attempts;
pub mod dead_letters;
pub mod doctor;
pub mod excerpt;
pub mod prune;
pub mod retry;
pub mod status;
pub mod trace;
