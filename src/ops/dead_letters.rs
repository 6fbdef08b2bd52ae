//! Dead letters: deliveries that failed for good, and those that may have arrived or not. They stay
//! until a person retries or discards them.

mod apply;
mod filter;
mod list;
mod show;

pub use apply::{Action, DeadLetterReport, DeliveryState, NotTouched, apply, count_matching};
pub use filter::{DeadLetterFilter, DeadLetterStatus};
pub use list::{DeadLetter, FilterValues, List, Order, filter_values, list};
pub use show::{DeliveryEmail, Details, show};
