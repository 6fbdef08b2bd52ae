//! One variable, and the macro that makes the list of them and the type that holds their values.

use url::Url;

use super::InvalidConfig;

/// What is known of a variable before its value is.
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) section: &'static str,
    pub(crate) default: Option<&'static str>,
    /// The lines of its description; the first is all that `--help` shows.
    pub(super) lines: &'static [&'static str],
    pub(crate) example: Option<&'static str>,
    pub(crate) flag: Option<Flag>,
    /// How `config` shows a value that no error may repeat.
    pub(super) secret: Option<fn(&str) -> String>,
    pub(crate) check: fn(&str) -> Result<(), String>,
}

/// The flag of commands that wins over a variable.
pub(crate) struct Flag {
    commands: &'static str,
    pub(crate) long: &'static str,
    /// The name of its value; `None` for a switch.
    pub(crate) value_name: Option<&'static str>,
}

impl Flag {
    pub(crate) fn commands(&self) -> impl Iterator<Item = &'static str> {
        self.commands.split(' ')
    }
}

/// `commands` are separated by spaces.
pub(super) const fn flag(
    commands: &'static str,
    long: &'static str,
    value_name: Option<&'static str>,
) -> Flag {
    Flag {
        commands,
        long,
        value_name,
    }
}

impl Variable {
    /// The first line of its description, without the full stop.
    pub(crate) fn summary(&self) -> &'static str {
        let first = self.lines.first().copied().unwrap_or_default().trim();
        first.strip_suffix('.').unwrap_or(first)
    }

    pub(crate) fn description(&self) -> String {
        self.lines.concat().trim().to_owned()
    }

    /// A value as the operator may see it.
    pub(crate) fn shown(&self, value: &str) -> String {
        match self.secret {
            Some(show) => show(value),
            None => value.to_owned(),
        }
    }

    pub(super) fn invalid(&self, problem: String, value: &str) -> InvalidConfig {
        let problem = match self.secret {
            Some(_) => problem,
            None => format!("{problem}; it is {value:?}"),
        };
        InvalidConfig::new(self.name, problem)
    }
}

pub(super) fn hidden(_: &str) -> String {
    "(hidden)".to_owned()
}

/// For what no error repeats, although it is no secret: it may be personal, or hold a password if it
/// is wrong.
pub(super) fn plain(value: &str) -> String {
    value.to_owned()
}

/// An address without its password, and without its parameters, which may hold one.
pub(super) fn without_password(value: &str) -> String {
    let Ok(mut url) = value.parse::<Url>() else {
        return hidden(value);
    };
    url.set_query(None);
    match url.password().map(|_| url.clone().set_password(None)) {
        Some(Err(())) => hidden(value),
        Some(Ok(())) => {
            let _ = url.set_password(None);
            url.to_string()
        }
        None => url.to_string(),
    }
}

/// Makes `VARIABLES` and `Config` from the entries of the list. A variable with a default is a plain
/// field; one without is an `Option`.
macro_rules! variables {
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
    (@type $type:ty,) => { Option<$type> };
    (@type $type:ty, $default:literal) => { $type };
    (@read $reader:ident, $parse:expr,) => { $reader.optional($parse) };
    (@read $reader:ident, $parse:expr, $default:literal) => { $reader.required($default, $parse) };
    ($( $section:literal { $(
        $(#[doc = $line:literal])+
        $field:ident: $type:ty = $name:ident($($default:literal)?), $parse:expr
            $(, $key:ident($value:expr))*;
    )+ } )+) => {
        /// Every variable that is read, besides those of the PostgreSQL client library.
        pub(crate) static VARIABLES: &[Variable] = &[$($(Variable {
            $($key: Some($value),)*
            ..Variable {
                name: stringify!($name),
                section: $section,
                default: variables!(@default $($default)?),
                lines: &[$($line),+],
                example: None,
                flag: None,
                secret: None,
                check: |text| ($parse)(text).map(drop),
            }
        },)+)+];

        /// The value of every variable.
        pub(crate) struct Config {
            $($(pub(crate) $field: variables!(@type $type, $($default)?),)+)+
        }

        impl Config {
            /// Takes the variables in the order of the list.
            pub(super) fn from_reader(reader: &mut Reader<'_>) -> Self {
                Self {
                    $($($field: variables!(@read reader, $parse, $($default)?),)+)+
                }
            }
        }
    };
}
pub(super) use variables;
