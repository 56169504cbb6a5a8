use super::*;

#[test]
fn libraries_that_are_named_by_their_paths() {
    for text in [
        r#"#[link(name = "../lib/libfoo.a", kind = "static", modifiers = "+verbatim")]"#,
        r#"#[cfg_attr(unix, link(name = "/a/libfoo.a", modifiers = "+verbatim"))]"#,
        r#"#[link(name = $name, modifiers = "+whole-archive,+verbatim")]"#,
    ] {
        assert!(links_by_path(text), "{text}");
    }
    for text in [
        r#"#[link(name = "libfoo.a", modifiers = "+verbatim")] // a/b"#,
        "verbatim / symlink(a, b)",
        r#"#[link(name = "a/b")]"#,
    ] {
        assert!(!links_by_path(text), "{text}");
    }
}

#[test]
fn a_module_is_in_one_of_two_places() {
    for (one, other) in [
        ("/p/src/m.rs", "/p/src/m/mod.rs"),
        ("/p/src/m/mod.rs", "/p/src/m.rs"),
        ("/p/src/lib.rs", "/p/src/lib/mod.rs"),
    ] {
        assert_eq!(counterpart(Path::new(one)).as_deref(), Some(Path::new(other)));
    }
    assert_eq!(counterpart(Path::new("/p/data.json")), None);
}
