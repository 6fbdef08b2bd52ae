//! Dead letters: deliveries that were given up, and those that may have arrived or not. They stay
//! until a person says what is to become of them.

mod act;
mod filter;
mod list;
mod show;

pub use act::{Action, ActionReport, NotTouched, State, act, preview};
pub use filter::{Filter, Held};
pub use list::{Choice, DeadLetter, List, Order, choice, list};
pub use show::{Details, Mail, show};
