//! The documentation of the configuration, made from the list of variables.

use std::fmt::Write as _;

use super::{VARIABLES, Variable};

/// The variables of each section, in order.
pub(crate) fn sections() -> impl Iterator<Item = (&'static str, &'static [Variable])> {
    let sections = VARIABLES.chunk_by(|a, b| a.section == b.section);
    sections.map(|variables| (variables[0].section, variables))
}

/// docs/configuration.md.
pub(crate) fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         <!-- Made by: notify-fan-out config --markdown -->\n\n\
         Every environment variable, its default and what it does. [.env.example](../.env.example) is a file to start\n\
         from. More about the [parameters of `DATABASE_URL`](connection.md), [e-mail and SMS](delivery.md#e-mail-transports),\n\
         [templates](email-templates.md#templates-of-your-own), [links](application.md#links) and\n\
         [secrets of endpoints](endpoints.md#secrets).\n\n\
         Flags win over the environment, the environment wins over `.env`, which is read from the working directory. An\n\
         empty variable counts as not set. A wrong value is refused by name, by every command, and all wrong values are\n\
         reported at once. A variable that starts with `NOTIFY_` or `NOTIFICATIONS_` and is none of these causes a warning.\n\n\
         `notify-fan-out config` shows the values in force and where each comes from, without secrets;\n\
         `notify-fan-out config run --batch-size 50` those of a run with this flag. Times have a unit:\n\
         `55s`, `10m`, `1h 30m`, `30d`. Switches are `true` or `false` (also `1`, `yes`, `on`; `0`, `no`, `off`).\n",
    );
    for (section, variables) in sections() {
        let _ = write!(
            page,
            "\n## {section}\n\n| variable | default | what it does |\n|---|---|---|\n"
        );
        for variable in variables {
            let _ = writeln!(page, "{}", row(variable));
        }
    }
    page
}

fn row(variable: &Variable) -> String {
    let code = |text: &str| format!("`{}`", text.replace('|', "\\|"));
    let mut text = variable.description();
    if let Some(example) = variable.example {
        let _ = write!(text, " Example: {}", code(example));
    }
    if let Some(flag) = &variable.flag {
        let flags: Vec<_> = flag
            .commands()
            .map(|command| code(&format!("{command} --{}", flag.long)))
            .collect();
        let _ = write!(text, " Flag: {}", flags.join(", "));
    }
    format!(
        "| {} | {} | {text} |",
        code(variable.name),
        variable.default.map(code).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMENT_WIDTH: usize = 100;

    fn env_example() -> String {
        let mut file = String::from(
            "# Copy to .env and fill in. The environment wins over this file, flags win over both. An empty\n\
             # variable counts as not set. A wrong value is refused by name.\n",
        );
        for (section, variables) in sections() {
            let _ = write!(file, "\n# --- {section} ---\n");
            for variable in variables {
                let _ = write!(file, "\n{}", comment(&variable.description()));
                let value = variable.default.or(variable.example).unwrap_or_default();
                let _ = match variable.name {
                    "DATABASE_URL" => writeln!(file, "# Example: {value}\nDATABASE_URL="),
                    name => writeln!(file, "#{name}={value}"),
                };
            }
        }
        file
    }

    fn comment(text: &str) -> String {
        let mut lines = vec!["#".to_owned()];
        for word in text.split(' ') {
            match lines.last_mut() {
                Some(line) if line.chars().count() + word.chars().count() < COMMENT_WIDTH => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(format!("# {word}")),
            }
        }
        lines.join("\n") + "\n"
    }

    /// `UPDATE_DOCS=1` writes the file.
    fn assert_file(name: &str, expected: &str) {
        let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, expected).expect(name);
        }
        let found = std::fs::read_to_string(&path).expect(name);
        assert!(
            found == expected,
            "{name} is out of date; UPDATE_DOCS=1 with this test writes it"
        );
    }

    #[test]
    fn configuration_page_is_up_to_date() {
        assert_file("docs/configuration.md", &markdown());
    }

    #[test]
    fn env_example_has_every_variable_and_its_default() {
        assert_file(".env.example", &env_example());
    }
}
