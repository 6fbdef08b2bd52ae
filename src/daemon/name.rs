//! The name of a daemon's watching connection in `pg_stat_activity`, the only thing that others see of it.

/// What such names begin with.
pub(crate) const PREFIX: &str = "notify-fan-out serve ";
/// PostgreSQL truncates longer names.
const LONGEST: usize = 63;
const LISTEN: &str = "listen";
const POLL: &str = "poll";

/// The name for a daemon `id`, HOST:PID:RUN, and whether notifications arrive, once that is known. A long host is
/// truncated: what follows it tells daemons apart.
pub(super) fn connection_name(id: &str, is_listening: Option<bool>) -> String {
    let mut parts = id.rsplitn(3, ':');
    let (run, pid) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let room = LONGEST.saturating_sub(PREFIX.len() + pid.len() + run.len() + LISTEN.len() + 3);
    // PostgreSQL would replace other characters by longer ones.
    let host = parts.next().unwrap_or("").chars().take(room);
    let host = host.map(|c| if c.is_ascii_graphic() { c } else { '?' });
    let name = format!("{PREFIX}{}:{pid}:{run}", host.collect::<String>());
    match is_listening {
        Some(true) => format!("{name} {LISTEN}"),
        Some(false) => format!("{name} {POLL}"),
        None => name,
    }
}

/// The id and the mode in a name.
pub(crate) fn read(name: &str) -> Option<(&str, Option<&str>)> {
    let id = name.strip_prefix(PREFIX)?;
    Some(match id.split_once(' ') {
        Some((id, mode @ (LISTEN | POLL))) => (id, Some(mode)),
        _ => (id, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_fit() {
        for (id, shown) in [
            ("web-1:42:0a1b2c3d", "web-1:42:0a1b2c3d"),
            (":42:0a1b2c3d", ":42:0a1b2c3d"),
            ("f\u{fc}r uns:42:0a1b2c3d", "f?r?uns:42:0a1b2c3d"),
            ("2001:db8::1:42:0a1b2c3d", "2001:db8::1:42:0a1b2c3d"),
            (
                "a-host-with-a-name-that-is-too-long.example.com:4194304:0a1b2c3d",
                "a-host-with-a-name:4194304:0a1b2c3d",
            ),
        ] {
            for (is_listening, mode) in [
                (None, None),
                (Some(true), Some("listen")),
                (Some(false), Some("poll")),
            ] {
                let name = connection_name(id, is_listening);
                assert!(name.len() <= LONGEST, "{name}");
                assert_eq!(read(&name), Some((shown, mode)));
            }
        }
        assert_eq!(read("notify-fan-out"), None);
    }
}
