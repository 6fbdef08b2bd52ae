//! Where operator events go besides people: the rows of `notification_endpoints`, added by hand, and
//! the routes that the environment names.
//!
//! What an endpoint has besides its name is a [`Destination`], stored through a [`Seal`]. Messages
//! leave by [`Ways`], whether they were queued or are sent to try an endpoint out.

mod destination;
mod endpoint;
pub mod message;
mod name;
mod routes;
mod seal;
mod send;
pub mod store;

pub use destination::{Destination, InvalidSettings};
pub use endpoint::{Disabled, Endpoint, Scope, Stored, Unusable};
pub use message::{chat, mail, sms, webhook};
pub use name::{InvalidName, Name};
pub use routes::{ROUTES, Route, RouteVariables, Routes};
pub use seal::{CannotOpen, Kept, Opened, Seal};
pub use send::{Mails, NotSent, Parcel, Ways};
