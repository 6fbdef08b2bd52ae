//! Payloads as typed structs, decoded field by field.

use uuid::Uuid;

use super::Lookups;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::{Fields, FromPayload};

/// A part of a payload: the value of the key that its field is named after, or several keys that
/// are read together.
pub(super) trait Part: Sized {
    fn decode(fields: Fields<'_>, key: &'static str) -> Result<Self, InvalidEvent>;

    /// Adds the rows whose names its messages need.
    fn lookups(&self, _lookups: &mut Lookups) {}
}

/// A required key.
impl<T: FromPayload> Part for T {
    fn decode(fields: Fields<'_>, key: &'static str) -> Result<Self, InvalidEvent> {
        fields.required(key)
    }
}

/// An optional key.
impl<T: FromPayload> Part for Option<T> {
    fn decode(fields: Fields<'_>, key: &'static str) -> Result<Self, InvalidEvent> {
        Ok(fields.optional(key))
    }
}

/// An optional list.
impl Part for Vec<Uuid> {
    fn decode(fields: Fields<'_>, key: &'static str) -> Result<Self, InvalidEvent> {
        fields.uuids(key)
    }
}

/// Declares a payload and how it is decoded: `field: Type` reads the key of that name, and
/// `field: Type = |fields| …` reads something else. The fields are decoded in order, so that the
/// first one that is invalid is reported.
macro_rules! payload {
    (
        $(#[$meta:meta])*
        pub(super) struct $name:ident {
            $($field:ident: $type:ty $(= $read:expr)?),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(super) struct $name {
            $(pub(super) $field: $type),*
        }

        impl $crate::handlers::payload::Part for $name {
            fn decode(
                fields: $crate::domain::payload::Fields<'_>,
                _: &'static str,
            ) -> Result<Self, $crate::domain::event::InvalidEvent> {
                Ok(Self {
                    $($field: payload!(@decode fields, $field, $type $(, $read)?)?),*
                })
            }

            fn lookups(&self, lookups: &mut $crate::handlers::Lookups) {
                $($crate::handlers::payload::Part::lookups(&self.$field, lookups);)*
            }
        }
    };
    (@decode $fields:ident, $field:ident, $type:ty) => {
        <$type as $crate::handlers::payload::Part>::decode($fields, stringify!($field))
    };
    (@decode $fields:ident, $field:ident, $type:ty, $read:expr) => {{
        let read: fn($crate::domain::payload::Fields<'_>) -> Result<$type, _> = $read;
        read($fields)
    }};
}
pub(super) use payload;
