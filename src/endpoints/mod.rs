//! Where operator events go besides people: the rows of `notification_endpoints`, added by hand, and
//! the routes that the environment names.
//!
//! What an endpoint has besides its name is a [`Destination`], stored through a [`Encryption`]. Messages
//! leave by [`Transports`], whether they were queued or are sent to try an endpoint out.

mod destination;
mod encryption;
mod endpoint;
pub mod message;
mod name;
mod routes;
mod send;
pub mod store;

pub use destination::{Destination, InvalidSettings};
pub use encryption::{DecryptError, Decrypted, Encryption, StoredForm};
pub use endpoint::{Disabled, Endpoint, Scope, Stored, Unusable};
pub use message::{chat, mail, sms, webhook};
pub use name::{InvalidName, Name};
pub use routes::{ROUTES, Route, RouteVariables, Routes};
pub use send::{EmailTransport, EndpointMessage, NotSent, Transports};
