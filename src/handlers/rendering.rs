//! How notifications are rendered for the application that shows them.

use super::links::Links;
use crate::domain::body::BodyFormat;

/// What the application's configuration decides about notifications.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendering {
    /// What the application renders.
    pub body_format: BodyFormat,
    /// The application's routes.
    pub links: Links,
}
