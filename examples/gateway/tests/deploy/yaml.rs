//! Reader of the part of YAML that the manifests keep to: block and flow maps and lists, plain and quoted scalars, literal blocks, comments. All else is
//! an error, and so is a key that comes twice: what two readers could take for two things does not belong into a manifest.

#[derive(Clone, Debug, PartialEq)]
pub enum Yaml {
    Map(Vec<(String, Yaml)>),
    List(Vec<Yaml>),
    Text(String),
}

static NOTHING: Yaml = Yaml::Text(String::new());

impl Yaml {
    /// The value below a path of keys, with `.` between and a number for an item of a list; an empty text if there is none.
    pub fn at(&self, path: &str) -> &Yaml {
        path.split('.').filter(|key| !key.is_empty()).fold(self, |value, key| match value {
            Yaml::Map(pairs) => {
                pairs.iter().find(|(known, _)| known == key).map_or(&NOTHING, |(_, value)| value)
            }
            Yaml::List(items) => key.parse().ok().and_then(|at: usize| items.get(at)).unwrap_or(&NOTHING),
            Yaml::Text(_) => &NOTHING,
        })
    }

    pub fn text(&self, path: &str) -> &str {
        match self.at(path) {
            Yaml::Text(text) => text,
            _ => "",
        }
    }

    pub fn items(&self, path: &str) -> &[Yaml] {
        match self.at(path) {
            Yaml::List(items) => items,
            _ => &[],
        }
    }

    pub fn texts(&self, path: &str) -> Vec<&str> {
        self.items(path).iter().map(|item| item.text("")).collect()
    }
}

/// Returns the documents of a file.
pub fn parse(text: &str) -> Result<Vec<Yaml>, String> {
    let documents = text.split("\n---\n").map(|document| document.strip_prefix("---\n").unwrap_or(document));
    documents
        .map(|document| {
            let tab = document.lines().find(|line| line.trim_start_matches(' ').starts_with('\t'));
            tab.map_or(Ok(()), |line| Err(format!("a tab before {line}")))?;
            let mut reader = Reader { lines: document.lines().map(str::to_owned).collect(), at: 0 };
            let value = reader.block(0)?;
            match reader.next() {
                None => Ok(value),
                Some((_, line)) => Err(format!("left over: {line}")),
            }
        })
        .collect()
}

struct Reader {
    lines: Vec<String>,
    at: usize,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Without a comment at its end.
fn bare(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before == ' ' => return line[..at].trim_end(),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    line.trim_end()
}

impl Reader {
    /// The next line that says something, with its indentation.
    fn next(&mut self) -> Option<(usize, String)> {
        while let Some(line) = self.lines.get(self.at) {
            let said = bare(line);
            if !said.trim().is_empty() {
                return Some((indent(said), said.trim_start().to_owned()));
            }
            self.at += 1;
        }
        None
    }

    fn block(&mut self, at_least: usize) -> Result<Yaml, String> {
        let Some((depth, line)) = self.next() else { return Ok(NOTHING.clone()) };
        if depth < at_least {
            return Ok(NOTHING.clone());
        }
        if is_item(&line) { self.list(depth) } else { self.map(depth) }
    }

    fn list(&mut self, depth: usize) -> Result<Yaml, String> {
        let mut items = Vec::new();
        while let Some((_, line)) = self.next().filter(|(here, line)| *here == depth && is_item(line)) {
            let rest = line[1..].trim_start().to_owned();
            if key_of(&rest).is_some() {
                // A map whose first key stands behind the dash.
                let column = depth + line.len() - rest.len();
                self.lines[self.at] = " ".repeat(column) + &rest;
                items.push(self.map(column)?);
            } else {
                self.at += 1;
                items.push(flow(&rest)?);
            }
        }
        Ok(Yaml::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Yaml, String> {
        let mut pairs: Vec<(String, Yaml)> = Vec::new();
        while let Some((here, line)) = self.next().filter(|(here, line)| *here >= depth && !is_item(line)) {
            let (key, rest) =
                key_of(&line).filter(|_| here == depth).ok_or(format!("no key here: {line}"))?;
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(format!("twice: {key}"));
            }
            self.at += 1;
            let value = match rest {
                "" => match self.next() {
                    Some((here, next)) if here == depth && is_item(&next) => self.list(depth)?,
                    _ => self.block(depth + 1)?,
                },
                "|" => self.literal(depth),
                rest => flow(rest)?,
            };
            pairs.push((key, value));
        }
        Ok(Yaml::Map(pairs))
    }

    /// Lines below a `|` as they are.
    fn literal(&mut self, depth: usize) -> Yaml {
        let rest = self.lines[self.at..].iter();
        let lines: Vec<&String> =
            rest.take_while(|line| line.trim().is_empty() || indent(line) > depth).collect();
        let column =
            lines.iter().filter(|line| !line.trim().is_empty()).map(|line| indent(line)).min().unwrap_or(0);
        let text = lines.iter().map(|line| line.get(column..).unwrap_or("").to_owned() + "\n").collect();
        self.at += lines.len();
        Yaml::Text(text)
    }
}

fn is_item(line: &str) -> bool {
    line == "-" || line.starts_with("- ")
}

/// The key of a line of a map, and what stands behind it.
fn key_of(line: &str) -> Option<(String, &str)> {
    if line.starts_with(['{', '[', '"', '\'']) {
        return None;
    }
    let (key, rest) = line.split_once(": ").or_else(|| Some((line.strip_suffix(':')?, "")))?;
    Some((key.to_owned(), rest.trim()))
}

/// A value on one line.
fn flow(text: &str) -> Result<Yaml, String> {
    let (value, rest) = flow_value(text, false)?;
    if rest.trim().is_empty() { Ok(value) } else { Err(format!("behind a value: {rest}")) }
}

fn flow_value(text: &str, is_inner: bool) -> Result<(Yaml, &str), String> {
    let text = text.trim_start();
    match text.chars().next() {
        Some('{') => {
            let (items, rest) = flow_items(&text[1..], '}', |text| {
                let (key, rest) = text.split_once(": ").ok_or(format!("no key here: {text}"))?;
                let (value, rest) = flow_value(rest, true)?;
                Ok(((key.trim().to_owned(), value), rest))
            })?;
            Ok((Yaml::Map(items), rest))
        }
        Some('[') => {
            let (items, rest) = flow_items(&text[1..], ']', |text| flow_value(text, true))?;
            Ok((Yaml::List(items), rest))
        }
        Some(quote @ ('"' | '\'')) => {
            let (inside, rest) = text[1..].split_once(quote).ok_or(format!("an open quote: {text}"))?;
            Ok((Yaml::Text(inside.to_owned()), rest))
        }
        Some('&' | '*' | '!' | '>' | '|' | '?' | '@' | '%' | '`') => {
            Err(format!("not in this part of YAML: {text}"))
        }
        _ => {
            let end = if is_inner { text.find([',', '}', ']']).unwrap_or(text.len()) } else { text.len() };
            let scalar = text[..end].trim();
            if scalar.contains(": ") || scalar.contains('\t') {
                return Err(format!("two things: {scalar}"));
            }
            Ok((Yaml::Text(scalar.to_owned()), &text[end..]))
        }
    }
}

fn flow_items<T>(
    mut text: &str,
    end: char,
    item: impl Fn(&str) -> Result<(T, &str), String>,
) -> Result<(Vec<T>, &str), String> {
    let mut items = Vec::new();
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix(end) {
            return Ok((items, rest));
        }
        if !items.is_empty() {
            text = text.strip_prefix(',').ok_or(format!("no comma here: {text}"))?.trim_start();
        }
        let (value, rest) = item(text)?;
        items.push(value);
        text = rest;
    }
}
