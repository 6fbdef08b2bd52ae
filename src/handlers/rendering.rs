//! How notifications are written for the application that shows them.

use super::links::Links;
use crate::domain::body::BodyFormat;

/// What of a notification the application's configuration decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendering {
    /// What its bell renders.
    pub body_format: BodyFormat,
    /// What its routes are.
    pub links: Links,
}
