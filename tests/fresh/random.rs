//! Random edits, caches and builds: what was built must be what a clean build would have made.
//!
//! `PYENV_BUILD_FRESH_SCRIPTS` says how many, `PYENV_BUILD_FRESH_SEED` where to start; a failure names the seed of its script.

use crate::world::{How, Node, World};

/// splitmix64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn choice<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Files that a value stands in, and how.
const VALUES: &[(&str, &str)] = &[
    ("app/src/part.rs", "pub const VALUE: &str = \"#\";\n"),
    ("listed/src/turn_a.rs", "pub const VALUE: &str = \"#\";\n"),
    ("listed/src/turn_b.rs", "pub const VALUE: &str = \"#\";\n"),
    ("listed/data/a.txt", "#\n"),
    ("listed/data/deep/b.txt", "#\n"),
    ("listed/one.txt", "#\n"),
    ("shared/text.txt", "#\n"),
    ("shared/linked_a.txt", "#\n"),
    ("old/assets/x.txt", "#\n"),
    ("old/assets/y.txt", "#\n"),
    ("hidden/secret.txt", "#\n"),
    ("maker/recipe.txt", "#\n"),
    ("user/words.txt", "#\n"),
    ("user/src/lib.rs", "pub fn words() -> String { format!(\"{} {}\", macros::words!(), VALUE) }\nconst VALUE: &str = \"#\";\n"),
    ("user/python/mine.py", "x = '#'\n"),
];

/// Files that may come and go.
const LOOSE: &[&str] = &["listed/data/c.txt", "listed/data/deep/d.txt", "listed/data/other/e.txt", "old/assets/z.txt", "old/assets/a.txt"];

fn edit(world: &mut World, random: &mut Random, log: &mut Vec<String>) {
    // Few values, so that old content comes back often.
    let value = format!("v{}", random.below(3));
    let (name, template) = *random.choice(VALUES);
    let mut touched = vec![name.to_owned()];
    match random.below(17) {
        14 => {
            // What a build script has written: a clean build would write it again.
            let made = world.at("maker/made/part.rs");
            if random.chance(50) {
                let _ = std::fs::remove_file(made);
                log.push("rm maker/made/part.rs".to_owned());
            } else if made.exists() {
                let mtime = filetime::FileTime::from_last_modification_time(&std::fs::metadata(&made).unwrap());
                std::fs::write(&made, "pub const MADE: &str = \"by hand\";\n").unwrap();
                if random.chance(50) {
                    filetime::set_file_mtime(&made, mtime).unwrap();
                }
                log.push("maker/made/part.rs by hand".to_owned());
            }
            touched.clear();
        }
        0..=5 => {
            world.write(name, &template.replace('#', &value));
            log.push(format!("{name} = {value}"));
        }
        6 => log.push(format!("touch {name}")),
        7 | 8 => {
            let name = *random.choice(LOOSE);
            if world.tree.contains_key(name) {
                world.remove(name);
                log.push(format!("rm {name}"));
                touched.clear();
            } else {
                world.write(name, &format!("{value}\n"));
                log.push(format!("{name} = {value}"));
                touched = vec![name.to_owned()];
            }
        }
        9 => {
            let (link, targets) = if random.chance(50) {
                ("listed/src/turned.rs", ["turn_a.rs", "turn_b.rs"])
            } else {
                ("listed/pointer", ["../shared/linked_a.txt", "../shared/linked_b.txt"])
            };
            let target = *random.choice(&targets);
            world.turn(link, target);
            log.push(format!("{link} -> {target}"));
            touched = vec![link.to_owned()];
        }
        10 => {
            let text = match &world.tree["hidden/Cargo.toml"] {
                Node::File(text) => text.split("description").next().unwrap().to_owned(),
                Node::Link(_) => unreachable!(),
            };
            world.write("hidden/Cargo.toml", &format!("{text}description = '{value}'\n"));
            log.push(format!("description = {value}"));
            touched.clear();
        }
        11 => {
            let pair = *random.choice(&[
                ("listed/data/a.txt", "listed/one.txt"),
                ("old/assets/x.txt", "old/assets/y.txt"),
                ("listed/src/turn_a.rs", "listed/src/turn_b.rs"),
            ]);
            let (one, other) = (world.tree[pair.0].clone(), world.tree[pair.1].clone());
            let how = random.below(2);
            if how == 0 {
                // With their dates.
                let between = world.at("between");
                std::fs::rename(world.at(pair.0), &between).unwrap();
                std::fs::rename(world.at(pair.1), world.at(pair.0)).unwrap();
                std::fs::rename(between, world.at(pair.1)).unwrap();
            }
            world.tree.insert(pair.0.to_owned(), other);
            world.tree.insert(pair.1.to_owned(), one);
            if how == 1 {
                world.put(pair.0);
                world.put(pair.1);
            }
            log.push(format!("swap {} {} ({how})", pair.0, pair.1));
            touched.clear();
        }
        12 => {
            world.write("README.md", &value);
            log.push("README".to_owned());
            touched.clear();
        }
        13 => {
            let name = *random.choice(&["listed/data", "listed/data/deep", "old/assets", "app/src"]);
            world.date(name, 5000);
            log.push(format!("date of {name}: old"));
            touched.clear();
        }
        _ => {
            // Replaced under its old date, as `cp -p` and `rsync -t` do.
            let mtime = filetime::FileTime::from_last_modification_time(&std::fs::metadata(world.at(name)).unwrap());
            world.write(name, &template.replace('#', &value));
            filetime::set_file_mtime(world.at(name), mtime).unwrap();
            log.push(format!("{name} = {value}, date kept"));
            touched.clear();
        }
    }
    for name in touched {
        let ago = *random.choice(&[0, 0, 0, 1, 100, 100_000, -50]);
        if ago != 0 {
            world.date(&name, ago);
            log.push(format!("date of {name}: {ago} s ago"));
        }
    }
}

/// In a world that is used again and again, with `first.tar` of a first build.
fn script(world: &mut World, seed: u64) {
    let mut random = Random(seed);
    world.begin_again();
    let mut log: Vec<String> = Vec::new();
    if random.chance(90) {
        world.restore("first.tar");
    } else {
        log.push("from nothing".to_owned());
    }
    let mut saved: Vec<String> = Vec::new();
    let mut branches = vec![world.tree.clone()];
    for step in 0..2 + random.below(3) {
        for _ in 0..random.below(3) {
            edit(world, &mut random, &mut log);
        }
        match random.below(10) {
            0..=3 if step > 0 => {
                world.next_job();
                log.push("next job".to_owned());
                if random.chance(40) {
                    let _ = std::fs::remove_dir_all(world.at("maker/made"));
                    log.push("without maker/made".to_owned());
                }
            }
            4 if !saved.is_empty() => {
                let name = random.choice(&saved).clone();
                world.check_out();
                world.restore(&name);
                log.push(format!("next job with {name}"));
            }
            5 => {
                branches.push(world.tree.clone());
                let to = random.choice(&branches).clone();
                let names: std::collections::BTreeSet<String> = world.tree.keys().chain(to.keys()).cloned().collect();
                let old = std::mem::replace(&mut world.tree, to);
                for name in names {
                    if old.get(&name) != world.tree.get(&name) {
                        world.put(&name);
                    }
                }
                log.push("another branch".to_owned());
            }
            6 if world.at("target").exists() => {
                // What a cleaning cache leaves.
                for entry in std::fs::read_dir(world.at("target/debug/deps")).into_iter().flatten().filter_map(Result::ok) {
                    if random.chance(20) {
                        let _ = std::fs::remove_file(entry.path());
                    }
                }
                log.push("cleaned a little".to_owned());
            }
            _ => {}
        }
        let mut how = How { loud: random.chance(15), release: random.chance(10), ..How::default() };
        if random.chance(15) {
            how.colour = Some((*random.choice(&["red", "blue"])).to_owned());
        }
        let mut kind = random.below(12);
        if kind == 2 && !world.at(".pyenv-build").exists() {
            // What cargo alone has made stale before we were ever there, nobody can know.
            kind = 3;
        }
        log.push(format!("build {kind} {how:?}"));
        match kind {
            0 => {
                how.only = Some(*random.choice(&["user", "listed", "old", "hidden", "maker"]));
                let built = world.build(&how);
                assert!(built.ok, "seed {seed}: {log:#?}\n{}", built.stderr);
            }
            1 => {
                let keep = world.tree["app/src/part.rs"].clone();
                world.write("app/src/part.rs", "oops");
                assert!(!world.build(&how).ok);
                world.tree.insert("app/src/part.rs".to_owned(), keep);
                world.put("app/src/part.rs");
            }
            2 => {
                how.plain = true;
                world.build(&how);
                continue;
            }
            _ => {}
        }
        how.only = None;
        let built = world.build(&how);
        assert!(built.ok, "seed {seed}: {log:#?}\n{}", built.stderr);
        assert_eq!(
            built.printed,
            world.expected(&how),
            "STALE with seed {seed}: {log:#?}\ncompiled {:?}\n{}",
            built.compiled,
            built.stderr
        );
        if random.chance(20) {
            let name = format!("saved{step}.tar");
            world.save(&name);
            saved.push(name);
            log.push("saved".to_owned());
        }
    }
}

#[test]
fn whatever_happens_nothing_is_stale() {
    let seed = number("PYENV_BUILD_FRESH_SEED", u64::from(std::process::id()) * 1_000_000);
    let count = number("PYENV_BUILD_FRESH_SCRIPTS", 8);
    println!("{count} scripts from seed {seed} (PYENV_BUILD_FRESH_SEED)");
    let mut world = World::new();
    world.build_right(&How::default());
    world.save("first.tar");
    for number in 0..count {
        script(&mut world, seed + number);
    }
    println!("{count} scripts: nothing stale");
}
