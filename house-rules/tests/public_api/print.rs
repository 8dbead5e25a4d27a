//! Tokens as a person writes them.

use quote::ToTokens;

/// Returns the text of a piece of syntax.
pub(crate) fn tokens(syntax: &impl ToTokens) -> String {
    tidy(&syntax.to_token_stream().to_string())
}

/// Takes the blanks away that stand between all tokens.
pub(crate) fn tidy(text: &str) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (from, to) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" ::", "::"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
        ("( ", "("),
        (" )", ")"),
        (" (", "("),
        ("& ", "&"),
        (" ;", ";"),
        ("[ ", "["),
        (" ]", "]"),
        (" :", ":"),
        ("- >", "->"),
        (" ->", " ->"),
        (",)", ")"),
        (",>", ">"),
        (", }", " }"),
        ("' ", "'"),
        ("# [", "#["),
        ("! ", "!"),
        ("? ", "?"),
    ] {
        text = text.replace(from, to);
    }
    // What these rules join too closely.
    for (from, to) in [
        ("->", " -> "),
        ("  ", " "),
        ("  ", " "),
        (">where", "> where"),
        ("mut(", "mut ("),
        ("dyn(", "dyn ("),
        ("=(", "= ("),
        (":(", ": ("),
        (",(", ", ("),
        ("+<", "+ <"),
        ("=<", "= <"),
        ("-> <", "-> <"),
        ("as<", "as <"),
        ("for(", "for ("),
    ] {
        text = text.replace(from, to);
    }
    text.trim().to_owned()
}
