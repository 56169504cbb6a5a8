//! Turns `data/currencies.csv` into a sorted table in `$OUT_DIR/currencies.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const DATA: &str = "data/currencies.csv";

fn main() {
    // All that this script reads, and so all that makes cargo run it again.
    println!("cargo::rerun-if-changed={DATA}");

    let text = fs::read_to_string(DATA).unwrap_or_else(|e| panic!("{DATA}: {e}"));
    let mut table = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (code, digits, name) =
            parse(line).unwrap_or_else(|why| panic!("{DATA}:{}: {why}", index + 1));
        if table.insert(code, (digits, name)).is_some() {
            panic!("{DATA}:{}: {code} is listed twice", index + 1);
        }
    }

    let mut source = String::from("pub static CURRENCIES: &[Currency] = &[\n");
    for (code, (digits, name)) in &table {
        writeln!(
            source,
            "    Currency {{ code: {code:?}, digits: {digits}, name: {name:?} }},"
        )
        .unwrap();
    }
    source.push_str("];\n");

    let out_dir = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out_dir).join("currencies.rs"), source).unwrap();
}

fn parse(line: &str) -> Result<(&str, u8, &str), String> {
    let mut fields = line.splitn(3, ',');
    let (Some(code), Some(digits), Some(name)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err("expected code,digits,name".into());
    };
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(format!("{code:?} is not three capital letters"));
    }
    match digits.parse() {
        Ok(digits) if digits <= 4 => Ok((code, digits, name)),
        _ => Err(format!("{digits:?} is not a number of digits from 0 to 4")),
    }
}
