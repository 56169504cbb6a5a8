//! The arguments for the linker of which we know what they read and write.

/// Whether an argument for the linker's driver writes nothing but the output, and reads only what
/// it names.
pub fn is_known(argument: &str) -> bool {
    const WHOLE: &[&str] = &[
        "-bundle",
        "-dynamiclib",
        "-nodefaultlibs",
        "-nolibc",
        "-nostartfiles",
        "-nostdlib",
        "-no-pie",
        "-pie",
        "-pthread",
        "-rdynamic",
        "-s",
        "-shared",
        "-shared-libgcc",
        "-static",
        "-static-libgcc",
        "-static-libstdc++",
        "-static-pie",
        "-undefined",
        "-arch",
        "-framework",
        "-target",
        "-Xlinker",
        "-u",
    ];
    const STARTS: &[&str] = &[
        "-l",
        "-L",
        "-m",
        "-O",
        "-fPIC",
        "-fpic",
        "-fsanitize=",
        "-fno-",
        "-F",
        "--target=",
        "--ld-path=",
    ];
    if let Some(list) = argument.strip_prefix("-Wl,") {
        return list.split(',').all(linker_option_is_known);
    }
    // Others would not be among the linkers that are looked at.
    if let Some(linker) = argument.strip_prefix("-fuse-ld=") {
        return matches!(linker, "bfd" | "gold" | "lld" | "mold");
    }
    if argument.starts_with('@') {
        return false;
    }
    // A file, or the value of the argument before it.
    !argument.starts_with('-')
        || WHOLE.contains(&argument)
        || STARTS.iter().any(|start| argument.starts_with(start))
}

/// The same for an option that the driver hands on to the linker.
fn linker_option_is_known(option: &str) -> bool {
    const KNOWN: &str = "\
        -Bdynamic -Bstatic -Bsymbolic -Bsymbolic-functions -E -O -O0 -O1 -O2 -O3 -S -compatibility_version -current_version \
        -dead_strip -dead_strip_dylibs -dylib -headerpad_max_install_names -h -install_name -rpath -s -soname -undefined -z -x \
        -no_compact_unwind -no_fixup_chains -exported_symbols_list -platform_version allow-multiple-definition \
        allow-shlib-undefined as-needed build-id compress-debug-sections copy-dt-needed-entries defsym disable-new-dtags \
        dynamic-list dynamicbase eh-frame-hdr enable-new-dtags end-group exclude-libs export-dynamic export-dynamic-symbol \
        fatal-warnings gc-sections gdb-index hash-style high-entropy-va icf no-allow-shlib-undefined no-as-needed \
        no-copy-dt-needed-entries no-eh-frame-hdr no-export-dynamic no-gc-sections no-insert-timestamp no-relax no-rosegment \
        no-undefined no-whole-archive nxcompat pack-dyn-relocs pop-state push-state relax rosegment rpath rpath-link sort-section \
        soname start-group strip-all strip-debug threads undefined undefined-version no-undefined-version unresolved-symbols \
        version-script warn-unresolved-symbols whole-archive wrap";
    if !option.starts_with('-') {
        // A file of further options is not read here.
        return !option.starts_with('@')
            || ["@rpath", "@loader_path", "@executable_path"]
                .iter()
                .any(|start| option.starts_with(start));
    }
    let name = option.split('=').next().unwrap_or(option);
    has_word(KNOWN, name)
        || name.strip_prefix("--").is_some_and(|name| has_word(KNOWN, name))
        || option.starts_with("-l")
        || option.starts_with("-L")
}

/// Whether a word is in a list of words.
pub fn has_word(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|one| one == word)
}
