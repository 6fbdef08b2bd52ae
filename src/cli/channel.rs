//! Channels as values of options.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::channels::Channel;

impl ValueEnum for Channel {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}
