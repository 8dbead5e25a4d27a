//! JSON Schema of gateway.toml, draft 2020-12, made of the table of keys: for editors, which complete and check while somebody writes. It knows less
//! than `edge-gateway check`: no file that is named, and nothing that two keys have to do with each other.

use serde_json::{Map, Value as Json, json};

use super::super::keys::{Key, Preset, TABLES, Table, Value};
use super::value_in_words;

/// Patterns of quantities, and of a string in which a variable of the environment is filled in, which may be anything.
const DURATION: &str = r"^\s*[0-9.]+\s*(ms|s|m|min|h|d)\s*$|\$\{";
const SIZE: &str = r"^\s*[0-9.]+\s*(B|KiB|MiB|GiB|kB|MB|GB)\s*$|\$\{";
const VARIABLE: &str = r"\$\{";

/// Returns the schema as text.
pub(super) fn text() -> String {
    let mut properties = Map::new();
    for table in TABLES.iter().filter(|table| !table.name.contains('.')) {
        if table.name.is_empty() {
            properties.extend(table.keys.iter().map(|key| (key.name.to_owned(), property(table, key))));
            continue;
        }
        let schema = match table.head.starts_with("[[") {
            true => json!({ "type": "array", "description": table.meaning, "items": object(table) }),
            false => object(table),
        };
        properties.insert(table.name.to_owned(), schema);
    }
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gateway.toml",
        "description": "Configuration of edge-gateway, or a file that it includes.",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    format!("{schema:#}\n")
}

/// Returns the schema of a table. Only those of arrays require keys: any other may have its keys in several files.
fn object(table: &Table) -> Json {
    let properties: Map<String, Json> =
        table.keys.iter().map(|key| (key.name.to_owned(), property(table, key))).collect();
    let mut schema = json!({
        "type": "object",
        "description": table.meaning,
        "additionalProperties": false,
        "properties": properties,
    });
    let required = table.keys.iter().filter(|key| matches!(key.preset, Preset::Required));
    let required: Vec<&str> = required.map(|key| key.name).collect();
    if table.head.starts_with("[[") && !required.is_empty() {
        add(&mut schema, "required", json!(required));
    }
    schema
}

fn property(table: &Table, key: &Key) -> Json {
    let mut schema = match key.value {
        Value::Text("table") => {
            let name = format!("{}.{}", table.name, key.name);
            TABLES.iter().find(|inner| inner.name == name).map_or_else(|| json!({ "type": "object" }), object)
        }
        Value::Text(_) => json!({ "type": "string" }),
        Value::Boolean => json!({ "type": "boolean" }),
        Value::OneOrSeveral(_) => {
            let text = json!({ "type": "string" });
            json!({ "anyOf": [text, { "type": "array", "items": text, "minItems": 1 }] })
        }
        Value::Strings(_) => json!({ "type": "array", "items": { "type": "string" } }),
        Value::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Value::Duration(..) => json!({ "type": "string", "pattern": DURATION }),
        Value::Size(..) => json!({ "type": "string", "pattern": SIZE }),
        Value::Batch { readings: (least, most), .. } => json!({ "anyOf": [
            { "type": "integer", "minimum": least, "maximum": most },
            { "type": "string", "pattern": SIZE },
        ] }),
        Value::OneOf(choices) => {
            json!({ "anyOf": [{ "enum": choices }, { "type": "string", "pattern": VARIABLE }] })
        }
    };
    let default = match key.preset {
        Preset::Required => "Required.".to_owned(),
        Preset::Is(text) => format!("Default: {text}."),
        Preset::Means(words) => format!("Default: {words}."),
    };
    let description = format!("{} Value: {}. {default}", key.meaning, value_in_words(key.value));
    add(&mut schema, "description", json!(description));
    if let Preset::Is(text) = key.preset {
        add(&mut schema, "default", literal(key.value, text));
    }
    schema
}

/// Returns a default as JSON. In the file texts and quantities are strings, and all else is written as in JSON.
fn literal(value: Value, text: &str) -> Json {
    let is_text = matches!(value, Value::Text(_) | Value::Duration(..) | Value::Size(..) | Value::OneOf(_));
    let parsed = if is_text { None } else { serde_json::from_str(text).ok() };
    parsed.unwrap_or_else(|| json!(text))
}

fn add(schema: &mut Json, name: &str, value: Json) {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::units;
    use super::*;

    fn is_of_type(value: &Json, name: &str) -> bool {
        match name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("{other}"),
        }
    }

    /// Checks what this schema uses of the draft. Returns the first mistake.
    fn check(schema: &Json, value: &Json, place: &str) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{place}: {why}"));
        if schema.get("type").is_some_and(|name| !is_of_type(value, name.as_str().unwrap())) {
            return wrong("another type");
        }
        for (word, said) in schema.as_object().unwrap() {
            match word.as_str() {
                "properties" => {
                    for (name, value) in value.as_object().into_iter().flatten() {
                        match said.get(name) {
                            Some(schema) => check(schema, value, &format!("{place}.{name}"))?,
                            None => assert_eq!(schema["additionalProperties"], json!(false), "{place}"),
                        }
                    }
                }
                "additionalProperties" => {
                    let is_known = |name: &String| schema["properties"].get(name).is_some();
                    if let Some(name) =
                        value.as_object().and_then(|map| map.keys().find(|name| !is_known(name)))
                    {
                        return wrong(&format!("unknown {name}"));
                    }
                }
                "required" => {
                    for name in said.as_array().unwrap() {
                        if value.get(name.as_str().unwrap()).is_none() {
                            return wrong(&format!("without {name}"));
                        }
                    }
                }
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        check(said, item, &format!("{place}[]"))?;
                    }
                }
                "minItems" if value.as_array().is_some_and(|all| all.is_empty()) => return wrong("empty"),
                "anyOf" => {
                    let mut all = said.as_array().unwrap().iter().map(|schema| check(schema, value, place));
                    if all.all(|checked| checked.is_err()) {
                        return wrong("none of the forms");
                    }
                }
                "enum" if !said.as_array().unwrap().contains(value) => return wrong("not one of them"),
                "minimum" if value.as_u64() < said.as_u64() => return wrong("too small"),
                "maximum" if value.as_u64() > said.as_u64() => return wrong("too large"),
                "pattern" => {
                    let text = value.as_str().unwrap_or_default();
                    let fits = match said.as_str().unwrap() {
                        DURATION => units::duration(text).is_ok(),
                        SIZE => units::size(text).is_ok(),
                        VARIABLE => false,
                        other => panic!("{other}"),
                    };
                    if !fits && !text.contains("${") {
                        return wrong("another pattern");
                    }
                }
                "type" | "enum" | "minimum" | "maximum" | "minItems" | "$schema" | "title"
                | "description" | "default" => {}
                other => panic!("{place}: {other}"),
            }
        }
        Ok(())
    }

    fn checked(text: &str) -> Result<(), String> {
        let schema: Json = serde_json::from_str(&super::text()).unwrap();
        check(&schema, &toml::from_str::<Json>(text).unwrap(), "")
    }

    #[test]
    fn the_configuration_that_is_shipped_fits_the_schema() {
        checked(include_str!("../../../gateway.toml")).unwrap();
    }

    #[test]
    fn mistakes_do_not_fit_it() {
        for (text, said) in [
            ("[hub]\nwindw = 7", ".hub: unknown windw"),
            ("[hubb]\nwindow = 7", ": unknown hubb"),
            ("[hub]\nwindow = \"7\"", ".hub.window: another type"),
            ("[hub]\nwindow = 0", ".hub.window: too small"),
            ("[hub]\nwindow = 65536", ".hub.window: too large"),
            ("[hub]\nkeep_alive = 60", ".hub.keep_alive: another type"),
            ("[hub]\nkeep_alive = \"60\"", ".hub.keep_alive: another pattern"),
            ("[hub]\nprotocol = \"6\"", ".hub.protocol: none of the forms"),
            ("[[route]]\nto = \"x\"", ".route[]: without \"match\""),
            ("[[route]]\nmatch = \"x\"\nbatch_max = \"many\"", ".route[].batch_max: none of the forms"),
            ("[[route]]\nmatch = \"x\"\nfields = { valu = \"x\" }", ".route[].fields: unknown valu"),
            ("include = \"site.toml\"", ".include: another type"),
        ] {
            assert_eq!(checked(text), Err(said.to_owned()), "{text}");
        }
        for text in [
            "[hub]\nkeep_alive = \"${K}\"\nprotocol = \"${P:-auto}\"",
            "include = [\"site.toml\"]",
            "[[route]]\nmatch = \"x\"\nbatch_max = \"16KiB\"\nfields = { value = \"x\" }",
        ] {
            assert_eq!(checked(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn every_default_fits_its_own_key() {
        let schema: Json = serde_json::from_str(&super::text()).unwrap();
        let mut count = 0;
        for table in TABLES.iter().filter(|table| !table.name.contains('.')) {
            let whole = &schema["properties"][table.name];
            let whole = whole.get("items").unwrap_or(whole);
            for (name, key) in whole["properties"].as_object().into_iter().flatten() {
                if let Some(default) = key.get("default") {
                    check(key, default, name).unwrap();
                    count += 1;
                }
            }
        }
        assert!(count > 30, "{count}");
    }
}
