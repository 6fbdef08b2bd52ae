//! Endpoints: where operator events go besides people. They are rows of `notification_endpoints`,
//! added by an operator, and routes, which the environment names.
//!
//! The settings of a row are a [`Destination`](crate::channels::Destination), stored through an
//! [`Encryption`].

mod email;
mod encryption;
mod endpoint;
mod name;
mod routes;
pub mod store;

pub use email::operator_email;
pub use encryption::{DecryptError, Decrypted, Encryption, StoredForm};
pub use endpoint::{Disabled, Endpoint, EndpointScope, Stored, Unusable};
pub use name::{InvalidName, Name};
pub use routes::{Route, Routes};
