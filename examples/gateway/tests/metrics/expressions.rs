//! Reader of PromQL, as far as names and brackets go: says what an expression asks for that the gateway does not export.

use std::collections::{BTreeMap, BTreeSet};

/// Labels of a metric, each with its values.
type Labels = BTreeMap<String, BTreeSet<String>>;

/// Labels that a scraper adds.
const OF_THE_SCRAPER: [&str; 2] = ["job", "instance"];
const FUNCTIONS: [&str; 12] = [
    "avg_over_time",
    "deriv",
    "histogram_quantile",
    "increase",
    "last_over_time",
    "max",
    "max_over_time",
    "min_over_time",
    "rate",
    "sum",
    "time",
    "label_values",
];
const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Series of a page of metrics.
pub struct Exported(BTreeMap<String, Labels>);

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

/// `None`: a quote is open.
fn tokens(text: &str) -> Option<Vec<Token>> {
    if text.matches('"').count() % 2 == 1 {
        return None;
    }
    let (mut found, mut letters) = (Vec::new(), text.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                let quoted: String = letters.by_ref().take_while(|letter| *letter != '"').collect();
                found.push(Token::Text(quoted));
            }
            letter if letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$' | '.') => {
                let mut word = letter.to_string();
                while let Some(more) =
                    letters.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
                {
                    word.push(more);
                }
                found.push(Token::Word(word));
            }
            letter if letter.is_whitespace() => {}
            letter => found.push(Token::Sign(letter)),
        }
    }
    Some(found)
}

fn is_balanced(tokens: &[Token]) -> bool {
    let mut open = Vec::new();
    for token in tokens {
        match token {
            Token::Sign('(') => open.push(')'),
            Token::Sign('[') => open.push(']'),
            Token::Sign('{') => open.push('}'),
            Token::Sign(close @ (')' | ']' | '}')) if open.pop() != Some(*close) => return false,
            _ => {}
        }
    }
    open.is_empty()
}

impl Exported {
    /// Reads a page of the gateway.
    pub fn of(page: &str) -> Self {
        let mut all: BTreeMap<String, Labels> = BTreeMap::new();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (series, _value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let known = all.entry(name.to_owned()).or_default();
            for pair in labels.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty()) {
                let (label, value) = pair.split_once("=\"").unwrap();
                let value = value.trim_end_matches('"').to_owned();
                known.entry(label.to_owned()).or_default().insert(value);
            }
        }
        // Of every target that Prometheus scrapes.
        all.insert("up".to_owned(), Labels::default());
        Self(all)
    }

    /// Returns what is wrong with an expression.
    pub fn problems(&self, expression: &str) -> Vec<String> {
        let Some(tokens) = tokens(expression).filter(|tokens| is_balanced(tokens)) else {
            return vec![format!("not balanced: {expression}")];
        };
        let (mut wrong, mut grouped, mut known) = (Vec::new(), Vec::new(), BTreeSet::from(OF_THE_SCRAPER));
        let mut at = 0;
        while at < tokens.len() {
            let Token::Word(word) = &tokens[at] else {
                at += 1;
                continue;
            };
            let next = tokens.get(at + 1);
            at += 1;
            if GROUPINGS.contains(&word.as_str()) {
                let list = tokens[at..].iter().take_while(|token| **token != Token::Sign(')'));
                grouped.extend(list.filter_map(|token| match token {
                    Token::Word(label) => Some(label.as_str()),
                    _ => None,
                }));
                at += tokens[at..].iter().position(|token| *token == Token::Sign(')')).unwrap();
            } else if is_called(next) {
                wrong.extend((!FUNCTIONS.contains(&word.as_str())).then(|| format!("no function: {word}")));
            } else if let Some(labels) = self.0.get(word) {
                known.extend(labels.keys().map(String::as_str));
                if next == Some(&Token::Sign('{')) {
                    let end = at + tokens[at..].iter().position(|token| *token == Token::Sign('}')).unwrap();
                    wrong.extend(selected(word, labels, &tokens[at + 1..end]));
                    at = end;
                }
            } else if !OPERATORS.contains(&word.as_str()) && !is_number(word) {
                wrong.push(format!("not exported: {word}"));
            }
        }
        let unknown = grouped.into_iter().filter(|label| !known.contains(label));
        wrong.extend(unknown.map(|label| format!("no such label in {expression}: {label}")));
        wrong
    }
}

/// Returns whether this token makes the word before it a function or an aggregation.
fn is_called(next: Option<&Token>) -> bool {
    match next {
        Some(Token::Word(word)) => ["by", "without"].contains(&word.as_str()),
        next => next == Some(&Token::Sign('(')),
    }
}

/// A number, a duration, or Grafana's word for one.
fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) || word == "$__rate_interval"
}

/// Returns what is wrong with the matchers of `name`.
fn selected(name: &str, labels: &Labels, matchers: &[Token]) -> Vec<String> {
    let mut wrong = Vec::new();
    for matcher in matchers.split(|token| *token == Token::Sign(',')) {
        let [Token::Word(label), Token::Sign('=' | '!'), .., Token::Text(text)] = matcher else {
            wrong.push(format!("no matcher of {name}: {matcher:?}"));
            continue;
        };
        let is_of_the_scraper = OF_THE_SCRAPER.contains(&label.as_str());
        let Some(values) = labels.get(label) else {
            wrong.extend((!is_of_the_scraper).then(|| format!("{name} has no label {label}")));
            continue;
        };
        let unknown = text.split('|').filter(|value| !values.contains(*value));
        wrong.extend(unknown.map(|value| format!("{name} has no {label} {value}")));
    }
    wrong
}

#[test]
fn what_is_not_exported_is_found() {
    let page = "# TYPE a gauge\na 1\nb_total{reason=\"x\",lane=\"l, \\\"m\"} 1\nb_total{reason=\"y\"} 2\n";
    let exported = Exported::of(page);
    for good in [
        "a > 0.8 and on (job, instance) up == 0",
        "sum by (reason, instance) (rate(b_total{reason!~\"x|y\", job=\"z\"}[5m])) * 86400 or a offset 1h",
        "histogram_quantile(0.99, rate(a[$__rate_interval]))",
    ] {
        assert_eq!(exported.problems(good), [""; 0], "{good}");
    }
    for bad in [
        "c > 0",
        "rat(a[5m])",
        "some by (job) (a)",
        "b_total{cause=\"x\"}",
        "b_total{reason=~\"x|z\"}",
        "b_total{reason}",
        "sum by (cause) (a)",
        "sum by (lane) (a)",
        "(a",
        "(a]",
        "a)",
        "b_total{reason=\"x}",
    ] {
        assert_eq!(exported.problems(bad).len(), 1, "{bad}: {:?}", exported.problems(bad));
    }
}
