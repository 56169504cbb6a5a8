//! Programs and libraries with C in them, two crates below: when only the C changes, it must be in
//! the product.
//!
//! ```text
//! app {bin, cdylib, staticlib} -> mid -> sys -> C library {made into OUT_DIR, or in the repository}
//! ```
//!
//! Each way to name the library is a chain of its own, so that none is saved by what is noticed in
//! another.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{Built, World, archive, manifest, remove, succeed};

/// Where the library is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The build script compiles it.
    OutDir,
    /// It is a file of the repository, as what some projects download or keep.
    Repository,
}

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Archive,
    /// An archive that names its members and does not hold them.
    Thin,
    /// Its name is in the program, as the loader is to look for it.
    Shared,
    /// At first it is in the second directory of the search path only, later in the first one, too.
    EarlierArchive,
    EarlierShared,
    /// At first it is an archive, later a shared library is beside that, which a linker prefers.
    Beside,
}

/// How it is named.
#[derive(Debug, Clone, Copy)]
enum Named {
    /// What stands before the name in `cargo:rustc-link-lib=`.
    ByScript(&'static str),
    /// What stands behind the name in `#[link(name = "...")]`.
    ByAttribute(&'static str),
}

#[derive(Debug, Clone)]
struct Chain {
    name: String,
    place: Place,
    kind: Kind,
    named: Named,
}

fn chains(lto: &str) -> Vec<Chain> {
    use Named::{ByAttribute, ByScript};
    let ways = [
        ("static", Kind::Archive, ByScript("static=")),
        ("no_bundle", Kind::Archive, ByScript("static:-bundle=")),
        ("whole", Kind::Archive, ByScript("static:+whole-archive=")),
        ("verbatim", Kind::Archive, ByScript("static:+verbatim=")),
        ("attribute", Kind::Archive, ByAttribute(", kind = \"static\"")),
        (
            "attribute_no_bundle",
            Kind::Archive,
            ByAttribute(", kind = \"static\", modifiers = \"-bundle\""),
        ),
        ("rust_attribute", Kind::Archive, ByAttribute(", kind = \"static\"")),
        ("shared", Kind::Shared, ByScript("dylib=")),
        ("shared_attribute", Kind::Shared, ByAttribute(", kind = \"dylib\"")),
        ("thin", Kind::Thin, ByScript("static=")),
        ("thin_no_bundle", Kind::Thin, ByScript("static:-bundle=")),
        ("earlier", Kind::EarlierArchive, ByScript("static=")),
        ("earlier_no_bundle", Kind::EarlierArchive, ByScript("static:-bundle=")),
        ("earlier_unsaid", Kind::EarlierArchive, ByScript("")),
        ("earlier_shared", Kind::EarlierShared, ByScript("dylib=")),
        ("beside", Kind::Beside, ByScript("")),
    ];
    let mut chains = Vec::new();
    for (name, kind, named) in ways {
        for (short, place) in [("out", Place::OutDir), ("repo", Place::Repository)] {
            // With LTO rustc takes such members for its own, and fails.
            if name == "rust_attribute" && (place == Place::OutDir || matches!(lto, "thin" | "fat"))
            {
                continue;
            }
            if place == Place::Repository || matches!(kind, Kind::Archive | Kind::Shared) {
                chains.push(Chain { name: format!("{short}_{name}"), place, kind, named });
            }
        }
    }
    chains
}

impl Chain {
    /// The name of the object in the archive: one that was made by rustc is called like those of
    /// the crate itself.
    fn member(&self) -> &'static str {
        if self.name.contains("rust_") { "native-1.0.rcgu.o" } else { "x.o" }
    }

    fn is_verbatim(&self) -> bool {
        self.name.ends_with("verbatim")
    }

    /// As `-l` has it: the file's own name where that is taken as it is.
    fn library(&self) -> String {
        if self.is_verbatim() { format!("{}.bits", self.name) } else { self.name.clone() }
    }

    fn file_name(&self) -> String {
        match self.kind {
            _ if self.is_verbatim() => self.library(),
            Kind::Shared | Kind::EarlierShared => format!("lib{}.so", self.name),
            _ => format!("lib{}.a", self.name),
        }
    }

    fn c(&self, version: u8) -> String {
        let name = &self.name;
        format!("const char *marker_{name}(void) {{ return \"{}\"; }}\n", self.marker(version))
    }

    fn marker(&self, version: u8) -> String {
        format!("<{} {version}>", self.name)
    }

    fn script(&self) -> String {
        let file = self.file_name();
        let mut script =
            "use std::{env, path::Path, process::Command};\nfn main() {\n    println!(\"cargo:rerun-if-changed=native\");\n".to_owned();
        match self.place {
            Place::OutDir => {
                let make = if self.kind == Kind::Shared {
                    format!(
                        "    let soname = std::fs::read_to_string(\"native/soname\").unwrap();\n    \
                         run(Command::new(\"cc\").args([\"-shared\", \"-fPIC\", \"-O1\", \"-o\"]).arg(out.join(\"{file}\")).arg(format!(\"-Wl,-soname,{{soname}}\")).arg(\"native/x.c\"));\n"
                    )
                } else {
                    format!(
                        "    let object = out.join(\"x.o\");\n    run(Command::new(\"cc\").args([\"-c\", \"-fPIC\", \"-O1\", \"-o\"]).arg(&object).arg(\"native/x.c\"));\n    \
                         let _ = std::fs::remove_file(out.join(\"{file}\"));\n    run(Command::new(\"ar\").arg(\"crsD\").arg(out.join(\"{file}\")).arg(&object));\n    \
                         std::fs::remove_file(object).unwrap();\n"
                    )
                };
                script.push_str("    let out = env::var(\"OUT_DIR\").unwrap();\n    let out = Path::new(&out);\n");
                script.push_str(&make);
                script.push_str(
                    "    println!(\"cargo:rustc-link-search=native={}\", out.display());\n",
                );
            }
            Place::Repository => {
                script.push_str("    let native = Path::new(&env::var(\"CARGO_MANIFEST_DIR\").unwrap()).join(\"native\");\n");
                script.push_str("    for directory in [\"first\", \"second\"] { println!(\"cargo:rustc-link-search=native={}\", native.join(directory).display()); }\n");
            }
        }
        if let Named::ByScript(kind) = self.named {
            let line =
                format!("    println!(\"cargo:rustc-link-lib={kind}{}\");\n", self.library());
            script.push_str(&line);
        }
        script.push_str(
            "}\n#[allow(dead_code)]\nfn run(command: &mut Command) { assert!(command.status().unwrap().success(), \"{command:?}\") }\n",
        );
        script
    }

    /// Puts version `version` of the C library into the checkout.
    fn change(&self, world: &mut World, version: u8) {
        let native = format!("sys_{}/native", self.name);
        let c = self.c(version);
        if self.place == Place::OutDir {
            world.write(&format!("{native}/x.c"), c);
            world.write(&format!("{native}/soname"), self.marker(version));
            return;
        }
        let scratch = world.base.join("scratch");
        let read = |path: &Path| std::fs::read(path).unwrap();
        let made = |text: &str| match self.kind {
            Kind::Shared | Kind::EarlierShared => read(&self.shared(text, &scratch, version)),
            _ => read(&archive(text, &scratch, self.member())),
        };
        match self.kind {
            Kind::Archive | Kind::Shared => {
                world.write(&format!("{native}/second/{}", self.file_name()), made(&c));
            }
            Kind::EarlierArchive | Kind::EarlierShared => {
                let (first, second) = (
                    format!("{native}/first/{}", self.file_name()),
                    format!("{native}/second/{}", self.file_name()),
                );
                if !world.at(&second).exists() {
                    assert_eq!(version, 1);
                    // Its directory is there from the start.
                    world.write(&format!("{native}/first/README"), "");
                    world.write(&second, made(&c));
                } else if version == 1 {
                    world.remove(&first);
                } else {
                    world.write(&first, made(&c));
                }
            }
            Kind::Beside => {
                let shared = format!("{native}/second/lib{}.so", self.name);
                if version > 1 {
                    world.write(&shared, read(&self.shared(&c, &scratch, version)));
                } else if world.at(&shared).exists() {
                    world.remove(&shared);
                } else {
                    world.write(&format!("{native}/second/{}", self.file_name()), made(&c));
                }
            }
            Kind::Thin => {
                let source = scratch.join("x.c");
                let directory = scratch.join("thin");
                std::fs::create_dir_all(directory.join("objects")).unwrap();
                std::fs::write(&source, c).unwrap();
                succeed(
                    Command::new("cc")
                        .args(["-c", "-fPIC", "-O1", "-o"])
                        .arg(directory.join("objects/x.o"))
                        .arg(&source),
                );
                remove(&directory.join("lib.a"));
                succeed(
                    Command::new("ar")
                        .args(["crsTD", "lib.a", "objects/x.o"])
                        .current_dir(&directory),
                );
                let (archive, object) =
                    (read(&directory.join("lib.a")), read(&directory.join("objects/x.o")));
                world.write(&format!("{native}/second/objects/x.o"), object);
                let path = format!("{native}/second/{}", self.file_name());
                if version > 1 {
                    assert_eq!(archive, read(&world.at(&path)), "only the member is another");
                }
                world.write(&path, archive);
            }
        }
    }

    /// Its `soname` is the marker, which the linker copies.
    fn shared(&self, text: &str, scratch: &Path, version: u8) -> PathBuf {
        std::fs::create_dir_all(scratch).unwrap();
        let (source, library) = (scratch.join("shared.c"), scratch.join("shared.so"));
        std::fs::write(&source, text).unwrap();
        let soname = format!("-Wl,-soname,{}", self.marker(version));
        succeed(
            Command::new("cc")
                .args(["-shared", "-fPIC", "-O1", &soname, "-o"])
                .arg(&library)
                .arg(&source),
        );
        library
    }

    fn write(&self, world: &mut World) {
        let name = &self.name;
        let sys = format!("sys_{name}");
        world.write(&format!("{sys}/Cargo.toml"), manifest(&sys, &format!("links = '{name}'\n")));
        world.write(&format!("{sys}/build.rs"), self.script());
        let attribute = match self.named {
            Named::ByScript(_) => String::new(),
            Named::ByAttribute(rest) => format!("#[link(name = \"{}\"{rest})]\n", self.library()),
        };
        world.write(
            &format!("{sys}/src/lib.rs"),
            format!("#![no_std]\n{attribute}extern \"C\" {{ fn marker_{name}() -> *const u8; }}\npub fn value() -> usize {{ unsafe {{ marker_{name}() as usize }} }}\n"),
        );
        let mid = format!("mid_{name}");
        world.write(
            &format!("{mid}/Cargo.toml"),
            manifest(&mid, &format!("[dependencies]\n{sys} = {{path = '../{sys}'}}\n")),
        );
        world.write(
            &format!("{mid}/src/lib.rs"),
            format!("#![no_std]\npub fn value() -> usize {{ {sys}::value() }}\n"),
        );
        let start =
            "#![no_std]\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n";
        for (short, kind) in [("d", "cdylib"), ("s", "staticlib")] {
            let app = format!("{short}_{name}");
            let rest = format!(
                "[lib]\ncrate-type = ['{kind}']\n[dependencies]\n{mid} = {{path = '../{mid}'}}\n"
            );
            world.write(&format!("{app}/Cargo.toml"), manifest(&app, &rest));
            world.write(
                &format!("{app}/src/lib.rs"),
                format!("{start}#[no_mangle]\npub extern \"C\" fn app_{name}() -> usize {{ {mid}::value() }}\n"),
            );
        }
        let app = format!("b_{name}");
        world.write(
            &format!("{app}/Cargo.toml"),
            manifest(&app, &format!("[dependencies]\n{mid} = {{path = '../{mid}'}}\n")),
        );
        world.write(
            &format!("{app}/src/main.rs"),
            format!(
                "#![no_main]\n{start}#[link(name = \"c\")]\nextern \"C\" {{}}\n#[no_mangle]\nextern \"C\" fn rust_eh_personality() {{}}\n\
                 #[no_mangle]\npub extern \"C\" fn main() -> i32 {{ i32::from({mid}::value() == 0) }}\n"
            ),
        );
    }

    fn products(&self, target: &Path) -> [PathBuf; 3] {
        let name = &self.name;
        [format!("b_{name}"), format!("libd_{name}.so"), format!("libs_{name}.a")]
            .map(|product| target.join("debug").join(product))
    }

    /// For each product the versions whose markers are in it.
    fn markers(&self, target: &Path) -> Vec<Vec<u8>> {
        let products = self.products(target);
        let contents = products.iter().map(|path| {
            std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        });
        contents
            .map(|bytes| {
                let text = String::from_utf8_lossy(&bytes);
                (1..=3).filter(|version| text.contains(&self.marker(*version))).collect()
            })
            .collect()
    }
}

fn world(chains: &[Chain]) -> World {
    let mut world = World::new();
    let members: Vec<String> = chains
        .iter()
        .flat_map(|chain| {
            ["sys", "mid", "b", "d", "s"].map(|start| format!("'{start}_{}'", chain.name))
        })
        .collect();
    world.write(
        "Cargo.toml",
        format!(
            "[workspace]\nresolver = '2'\nmembers = [{}]\n[profile.dev]\npanic = 'abort'\ndebug = 0\nincremental = false\n",
            members.join(", ")
        ),
    );
    for chain in chains {
        chain.write(&mut world);
        chain.change(&mut world, 1);
    }
    world
}

fn build(world: &World, lto: &str) -> Built {
    world.built(
        world.ours(&["cargo", "build", "-q", "--workspace"]).env("CARGO_PROFILE_DEV_LTO", lto),
    )
}

/// Chains whose products do not hold the markers that a clean build has: those of `version` where
/// version 1 was at first.
fn stale(
    chains: &[Chain],
    world: &World,
    first: &[Vec<Vec<u8>>],
    version: u8,
    when: &str,
) -> Vec<String> {
    let mut stale = Vec::new();
    for (chain, first) in chains.iter().zip(first) {
        for ((found, first), product) in chain
            .markers(&world.at("target"))
            .into_iter()
            .zip(first)
            .zip(["bin", "cdylib", "staticlib"])
        {
            let expected: Vec<u8> = first.iter().map(|_| version).collect();
            if found != expected {
                stale.push(format!(
                    "{} {product} {when}: holds {found:?}, a clean build {expected:?}",
                    chain.name
                ));
            }
        }
    }
    stale
}

fn c_that_changes_is_in_the_product(lto: &str) {
    c_that_changes_is_in_the_products_of(&chains(lto), lto);
}

fn c_that_changes_is_in_the_products_of(chains: &[Chain], lto: &str) {
    let mut world = world(chains);
    build(&world, lto);
    let first: Vec<Vec<Vec<u8>>> =
        chains.iter().map(|chain| chain.markers(&world.at("target"))).collect();
    for (chain, markers) in chains.iter().zip(&first) {
        assert!(markers[0] == [1] && markers[1] == [1], "{}: {markers:?}", chain.name);
    }
    let change = |world: &mut World, version: u8| {
        for chain in chains {
            chain.change(world, version);
        }
    };
    change(&mut world, 2);
    world.check_out(&[".pyenv-build"]);
    build(&world, lto);
    let mut wrong = stale(chains, &world, &first, 2, "in a new checkout");
    change(&mut world, 3);
    build(&world, lto);
    wrong.extend(stale(chains, &world, &first, 3, "in the same checkout"));
    change(&mut world, 1);
    remove(&world.at("target"));
    let built = build(&world, lto);
    wrong.extend(stale(chains, &world, &first, 1, "without a target directory"));
    assert!(wrong.is_empty(), "STALE, with lto = {lto}:\n{}", wrong.join("\n"));
    assert_eq!(
        built.crates("compiled"),
        [""; 0],
        "all of it was compiled before: {}",
        built.report
    );
}

#[test]
#[ignore = "takes a minute, and `tests/fresh` has C that changes without LTO; the workflow runs it"]
fn c_that_changes_is_in_the_product_without_lto() {
    c_that_changes_is_in_the_product("off");
}

#[test]
#[ignore = "takes a minute and differs little from no LTO; the workflow runs it"]
fn c_that_changes_is_in_the_product_with_local_lto() {
    c_that_changes_is_in_the_product("false");
}

#[test]
#[ignore = "takes a minute and differs little from fat LTO; the workflow runs it"]
fn c_that_changes_is_in_the_product_with_thin_lto() {
    c_that_changes_is_in_the_product("thin");
}

#[test]
#[ignore = "takes minutes; the workflow runs it"]
fn c_that_changes_is_in_the_product_with_fat_lto() {
    c_that_changes_is_in_the_product("fat");
}

/// One chain of each kind.
#[test]
fn c_of_each_kind_that_changes_is_in_the_product_with_fat_lto() {
    let each = ["out_static", "repo_attribute_no_bundle", "out_shared", "repo_thin", "repo_beside"];
    let mut chains = chains("fat");
    chains.retain(|chain| each.contains(&chain.name.as_str()));
    assert_eq!(chains.len(), each.len());
    c_that_changes_is_in_the_products_of(&chains, "fat");
}

/// rustc does not say that the assembler has read it.
#[test]
fn a_file_that_the_assembler_includes_is_in_the_product() {
    let mut world = World::new();
    world.write("Cargo.toml", manifest("app", "[profile.dev]\ndebug = 0\n"));
    world.write(
        "src/main.rs",
        "std::arch::global_asm!(\".data\\n.globl data\\ndata: .inc%bin \\\"data.bin\\\"\\n.text\");\nextern \"C\" { static data: u8; }\nfn main() { print!(\"{}\", unsafe { data } as char); }\n"
            .replace('%', ""),
    );
    for version in ["1", "2"] {
        world.write("data.bin", version);
        world.check_out(&[".pyenv-build"]);
        world.build(&["cargo", "build", "-q"]);
        let said = succeed(&mut Command::new(world.at("target/debug/app")));
        assert_eq!(String::from_utf8(said.stdout).unwrap(), version);
    }
}
