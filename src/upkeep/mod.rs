//! Looking after what has gathered: how things stand, putting failures back, deleting what is old,
//! and checking that all is set up.

pub mod doctor;
pub mod prune;
pub mod retry;
pub mod status;
