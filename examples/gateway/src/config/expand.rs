//! Expansion of `${NAME}` and `${NAME:-default}` inside strings, after parsing, so that a value can never become syntax.

/// Replaces every `${...}` by its value. `lookup` reads a variable of the environment.
pub(crate) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let (name, tail) = after.split_once('}').ok_or("`${` without `}`")?;
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        match lookup(name).or_else(|| default.map(str::to_owned)) {
            Some(value) => out.push_str(&value),
            None => {
                return Err(format!(
                    "environment variable {name} is not set (`${{{name}:-default}}` gives one)"
                ));
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_expand_once_and_an_unset_one_is_an_error() {
        let env = |name: &str| (name == "SITE").then(|| "a${SITE}".to_owned());
        assert_eq!(expand("x/${SITE}/y", &env), Ok("x/a${SITE}/y".to_owned()));
        assert_eq!(expand("${NONE:-z}", &env), Ok("z".to_owned()));
        assert!(expand("${NONE}", &env).unwrap_err().contains("NONE"));
        assert!(expand("${SITE", &env).is_err());
    }
}
