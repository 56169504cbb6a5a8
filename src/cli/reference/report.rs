//! The report: its schema, and the page that is made from it.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::{GENERATED, cell, flat};
use crate::report::Report;

pub(super) fn report_schema() -> Value {
    // What is left out when it is empty is not required.
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Report>().to_value();
    flatten_descriptions(&mut schema);
    schema
}

/// Doc comments have lines.
fn flatten_descriptions(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(text) if name == "description" => *text = flat(text),
                    other => flatten_descriptions(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(flatten_descriptions),
        _ => {}
    }
}

/// A type in words.
pub(super) fn kind_of(field: &Value) -> String {
    if let Some(reference) = field["$ref"].as_str() {
        let name = reference.trim_start_matches("#/$defs/");
        return match name {
            "#" => "[Report](#report)".to_owned(),
            _ => format!("[{name}](#{})", name.to_lowercase()),
        };
    }
    if let Some(any) = field["anyOf"].as_array() {
        let kinds: Vec<String> = any.iter().map(kind_of).filter(|kind| kind != "null").collect();
        return kinds.join(" or ");
    }
    let kinds: Vec<&str> = match &field["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let may_be_null = kinds.len() > 1 && kinds.contains(&"null");
    let kind = kinds.into_iter().find(|kind| *kind != "null").unwrap_or("null");
    let kind = match kind {
        "array" => format!("list of {}", kind_of(&field["items"])),
        "object" => format!("object of {}", kind_of(&field["additionalProperties"])),
        kind => kind.to_owned(),
    };
    if may_be_null { format!("{kind} or null") } else { kind }
}

pub(super) fn without_null(kind: &str) -> &str {
    kind.strip_suffix(" or null").unwrap_or(kind)
}

pub(super) fn report_page(schema: &Value) -> String {
    let mut text = format!("# JSON report\n\n{GENERATED}\n");
    text += "`cargo pyenv-build --message-format json` prints one object on stdout. The report of \
        the last `build` or `run` is saved to `.pyenv-build/reports/last.json`; `cargo \
        pyenv-build why` prints it as text. Its JSON Schema: \
        [report.schema.json](report.schema.json). New fields may be added without a new `schema` \
        number. Times are in seconds and paths are absolute, unless stated otherwise.\n";
    object("Report", schema, &mut text);
    let none = Map::new();
    for (name, definition) in schema["$defs"].as_object().unwrap_or(&none) {
        object(name, definition, &mut text);
    }
    text
}

fn object(name: &str, definition: &Value, text: &mut String) {
    let _ = writeln!(
        text,
        "\n## {name}\n\n{}\n",
        definition["description"].as_str().unwrap_or_default()
    );
    if let Some(fields) = definition["properties"].as_object() {
        let required: Vec<&str> = definition["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        *text += "| field | type | |\n| --- | --- | --- |\n";
        for (field, value) in fields {
            let kind = kind_of(value);
            // What may be absent is absent instead of null.
            let kind = if required.contains(&field.as_str()) {
                kind
            } else {
                format!("{}, may be absent", without_null(&kind))
            };
            let about = cell(value["description"].as_str().unwrap_or_default());
            let _ = writeln!(text, "| `{field}` | {kind} | {about} |");
        }
    } else {
        *text += "| value | |\n| --- | --- |\n";
        for value in definition["oneOf"]
            .as_array()
            .unwrap_or_else(|| panic!("`{name}` is an object or has documented values"))
        {
            let about = cell(value["description"].as_str().unwrap_or_default());
            let _ = writeln!(text, "| `{}` | {about} |", value["const"].as_str().unwrap());
        }
    }
}
