//! The `RUSTC_WRAPPER` that cargo calls: compare, reuse, or run rustc and record.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use super::call::{Call, Unjudged};
use super::closure::Note;
use super::digests::Digests;
use super::entry::{Difference, Entry, SCHEMA};
use super::inputs::Inputs;
use super::judge::{Verdict, judge};
use super::log::{Event, What};
use super::outcome;
use super::package::Package;
use super::plan::Plans;
use super::rustc::{Inner, Ran};
use super::start::Start;
use super::store::Store;
use super::unrecorded::Unrecorded;
use super::{dep_info, linker, macros, script, targets};
use crate::{ci, env_vars};

/// Whether we are called as a wrapper: the first argument is a compiler, not one of our commands or
/// a project's directory. `is_command` knows the names of our commands.
pub fn is_call(args: &[OsString], is_command: &dyn Fn(&str) -> bool) -> bool {
    let Some(first) = args.get(1).map(Path::new) else { return false };
    let is_compiler =
        first.file_stem().is_some_and(|name| name == "rustc" || name == "clippy-driver");
    // A compiler of another name, or a wrapper that cargo or another wrapper puts before it.
    if args.len() < 3 || is_compiler {
        return is_compiler && args.len() > 2;
    }
    if first.components().count() > 1 {
        return first.is_file();
    }
    // A name alone, such as `rustc-1.80`: only if cargo has us as its wrapper, and none of our own
    // arguments.
    let name = first.to_string_lossy();
    let own = std::env::current_exe().ok();
    let is_wrapper = env_vars::raw("RUSTC_WRAPPER").is_some_and(|wrapper| {
        own.is_some_and(|own| Path::new(&wrapper).file_stem() == own.file_stem())
    });
    is_wrapper
        && !name.starts_with('-')
        && !is_command(&name)
        && !first.is_dir()
        && which::which(first).is_ok()
}

/// Runs a call: `args` are all of ours, our own name first. Returns the exit code.
pub fn run(args: &[OsString]) -> u8 {
    let words = &args[1..];
    let inner = Inner::from_env();
    // The job is over that had cargo call us, on a machine that is kept.
    if env_vars::get_os(env_vars::WHILE_EXISTS).is_some_and(|path| !Path::new(&path).exists()) {
        return inner.exec(words);
    }
    // Called again by a wrapper that we called.
    if env_vars::get(env_vars::IN_WRAPPER).is_some() {
        return Inner::default().exec(words);
    }
    let (Some(package), Ok(call)) =
        (Package::from_env(), Call::parse(words).map_err(|why| explain(words, &why)))
    else {
        return inner.exec(words);
    };
    let is_text = |path: &Path| path.to_str().is_some();
    if !is_text(&package.directory)
        || !std::env::current_dir().is_ok_and(|directory| is_text(&directory))
    {
        // rustc itself refuses most of these; what is kept is text.
        return inner.exec(words);
    }
    let Some(store) = Store::find() else { return inner.exec(words) };
    Wrapper {
        words,
        call,
        package,
        plans: Plans::load(&store),
        store,
        inner,
        digests: Digests::default(),
    }
    .run()
}

/// A call of cargo's for a crate that we do not understand is named in the report.
fn explain(words: &[OsString], why: &Unjudged) {
    if let (Some(package), false) = (Package::from_env(), *why == Unjudged::Probe) {
        let is_check = words.iter().any(|word| word.to_string_lossy().contains("clippy-driver"));
        let what = What::Passed { because: Some(why.to_string()), macro_name: None };
        Event::new(&package, package.is_local(), "unknown".to_owned(), is_check, what, 0.0)
            .report();
    }
}

struct Wrapper<'a> {
    words: &'a [OsString],
    call: Call,
    package: Package,
    plans: Plans,
    store: Store,
    inner: Inner,
    digests: Digests,
}

impl Wrapper<'_> {
    fn run(mut self) -> u8 {
        self.digests = Digests::kept_in(self.store.digests());
        let is_local = self.package.is_local();
        if is_local {
            targets::note(&self.store, &self.call, &self.package);
        }
        if !is_local
            && let Some(note) =
                Note::of_registry_crate(&self.call, &self.package, &self.store, &mut self.digests)
        {
            // Without it, crates above this one are judged more strictly.
            let _ = note.write_for_name(&self.store, &self.call);
        }
        if env_vars::get(env_vars::REUSE).is_some_and(|value| value == "off") {
            return self.pass(is_local, None);
        }
        let is_judged = is_local
            || env_vars::get(env_vars::ALL_CRATES).is_some()
            || self.plans.uses_python(&self.package.directory);
        if !is_judged {
            return self.pass(is_local, None);
        }
        if self.inner.is_unknown() {
            let why = Unjudged::Program(self.inner.name());
            return self.pass(is_local, Some(&why));
        }
        if is_local {
            self.keep_incremental_state();
        }
        match Inputs::look(&self.call, &self.package, &self.store, &self.plans, &mut self.digests) {
            Ok(inputs) => self.judged(is_local, &inputs),
            Err(why) => self.pass(is_local, Some(&why)),
        }
    }

    /// Runs rustc without judging. A crate from a registry is none of our business; of a local one
    /// its sources are watched.
    fn pass(&self, is_local: bool, why: Option<&Unjudged>) -> u8 {
        let macro_name = match why {
            Some(Unjudged::Macro { name, .. }) => Some(macros::declaration(name)),
            _ => None,
        };
        let because = why.map(ToString::to_string);
        if !is_local {
            self.log(is_local, What::Passed { because, macro_name }, 0.0);
            return self.inner.exec(self.words);
        }
        let start = Start::now(&self.call);
        let started = Instant::now();
        let ran = match self.inner.run(&self.call, &[], &|| self.note()) {
            Ok(ran) => ran,
            Err(error) => return self.not_started(&error),
        };
        if ran.status.success() {
            self.note();
        }
        self.log(is_local, What::Passed { because, macro_name }, started.elapsed().as_secs_f64());
        if ran.status.success()
            && let Ok(directory) = std::env::current_dir()
            && outcome::changed_source(&self.call, &directory, &self.package.directory, &start)
                .is_some()
        {
            let _ = dep_info::leave_dirty(&self.call);
        }
        ran.code()
    }

    fn not_started(&self, error: &std::io::Error) -> u8 {
        let _ = writeln!(
            std::io::stderr(),
            "error: failed to start `{}`: {error}",
            self.call.rustc().display()
        );
        101
    }

    fn judged(&mut self, is_local: bool, inputs: &Inputs) -> u8 {
        let started = Instant::now();
        let unit = self.unit();
        let difference =
            match judge(&self.call, &inputs.before, &unit, &self.store, &mut self.digests) {
                Verdict::Same { entry, path } => match self.serve(&entry) {
                    Some(bytes) => {
                        self.store.used(&path);
                        self.trust_script();
                        self.log(
                            is_local,
                            What::Reused {
                                seconds_saved: entry.seconds,
                                bytes,
                                origin: entry.origin.as_ref().map(ToString::to_string),
                            },
                            started.elapsed().as_secs_f64(),
                        );
                        return 0;
                    }
                    None => Difference::Blob,
                },
                Verdict::Different(difference) => difference,
            };
        self.compile(is_local, inputs, &unit, difference)
    }

    /// The folder of a unit's entries: package, crate, and what is made of it.
    fn unit(&self) -> String {
        let mut kind = self.kind();
        if self.call.is_clippy() {
            kind.push_str("-clippy");
        } else if self.is_check() {
            kind.push_str("-check");
        }
        format!("{}/{}-{kind}", self.package.name, self.call.crate_name)
    }

    fn kind(&self) -> String {
        if self.call.is_test {
            return "test".to_owned();
        }
        if self.call.crate_name.starts_with("build_script_")
            && self.call.crate_types.contains("bin")
        {
            return "build-script".to_owned();
        }
        self.call.crate_types.iter().cloned().collect::<Vec<_>>().join("-")
    }

    fn is_check(&self) -> bool {
        !self.call.emit.contains("link")
    }

    /// Takes the place of a build script that the user trusts. Without it, the script runs.
    fn trust_script(&self) {
        let is_trusted = || {
            self.plans
                .with(&self.package.directory)
                .any(|plan| plan.trusted_build_scripts.contains(&self.package.name))
        };
        if self.kind() == "build-script" && !self.is_check() && is_trusted() {
            let _ = script::take_place(&self.call);
        }
    }

    /// Has rustc keep its incremental state in the store, if the user asks for it and cargo does
    /// not keep it already: it is one more input.
    fn keep_incremental_state(&mut self) {
        let wish = env_vars::get(env_vars::INCREMENTAL).unwrap_or_default();
        if self.call.incremental.is_some()
            || !matches!(wish.as_str(), "auto" | "true")
            || self.is_check()
        {
            return;
        }
        if wish == "auto" && !self.is_slow() {
            return;
        }
        let argument = format!("-Cincremental={}", self.store.incremental().display());
        self.call.given.push(argument.clone().into());
        self.call.arguments.push(argument);
        self.call.incremental = Some(self.store.incremental());
    }

    /// Whether the crate once took longer than is worth the space: its state is a few times the
    /// size of its library.
    fn is_slow(&self) -> bool {
        const SLOW: f64 = 10.0;
        self.store
            .entries(&self.unit())
            .iter()
            .filter_map(|path| Store::read(path))
            .any(|entry| entry.seconds > SLOW)
    }

    /// Puts the outputs of an entry in place and says what rustc said. `None`: something of it is
    /// gone or damaged.
    fn serve(&self, entry: &Entry) -> Option<u64> {
        let mut bytes = 0;
        // A call writes nowhere else, whatever an entry from elsewhere says.
        if entry.outputs.iter().any(|output| output.path.parent() != Some(&self.call.out_dir)) {
            return None;
        }
        for output in &entry.outputs {
            bytes += fs_err::metadata(self.store.blob(&output.digest)).ok()?.len();
        }
        for output in &entry.outputs {
            match self.store.restore(&output.digest, &output.path, output.is_executable) {
                Ok(true) => {}
                Ok(false) | Err(_) => return None,
            }
        }
        self.note();
        if entry.has_diagnostics() || self.call.announces_artifacts() {
            let mut text = entry.messages.join("\n");
            if !text.is_empty() {
                text.push('\n');
            }
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
        let _ = std::io::stdout().write_all(entry.stdout.as_bytes());
        Some(bytes)
    }

    /// Runs rustc, and records what it did if that is certain.
    fn compile(
        &mut self,
        is_local: bool,
        inputs: &Inputs,
        unit: &str,
        difference: Difference,
    ) -> u8 {
        let asks = if self.call.is_linked() { self.store.temporary_file().ok() } else { None };
        let said = asks.as_ref().map(|file| file.path().to_path_buf());
        let more: Vec<OsString> =
            said.iter().flat_map(|path| linker::dependency_file_arguments(path)).collect();
        let start = Start::now(&self.call);
        let started = Instant::now();
        let ran = match self.inner.run(&self.call, &more, &|| self.note()) {
            Ok(ran) => ran,
            Err(error) => return self.not_started(&error),
        };
        if ran.status.success() {
            self.note();
        }
        let seconds = started.elapsed().as_secs_f64();
        let ok = ran.status.success();
        let why_not = if ok {
            self.record(inputs, unit, &start, said.as_deref(), &ran, seconds).err()
        } else {
            None
        };
        let recorded = ok && why_not.is_none();
        if let Some(Unrecorded::Changed(_)) = why_not {
            let _ = dep_info::leave_dirty(&self.call);
        }
        if ok {
            self.trust_script();
        }
        self.log(
            is_local,
            What::Compiled {
                difference,
                ok,
                recorded,
                why_not: why_not.map(|why| why.to_string()),
            },
            seconds,
        );
        ran.code()
    }

    fn record(
        &mut self,
        inputs: &Inputs,
        unit: &str,
        start: &Start,
        linker_said: Option<&Path>,
        ran: &Ran,
        seconds: f64,
    ) -> Result<(), Unrecorded> {
        if ran.was_asked_in_vain {
            return Err(Unrecorded::SilentLinker);
        }
        let stdout = std::str::from_utf8(&ran.stdout).map_err(|_error| Unrecorded::Messages)?;
        if !ran.is_text {
            return Err(Unrecorded::Messages);
        }
        let after = outcome::after(
            &self.call,
            &self.package.directory,
            inputs,
            start,
            linker_said,
            &mut self.digests,
        )?;
        let entry = Entry {
            schema: SCHEMA,
            package: self.package.name.clone(),
            version: self.package.version.clone(),
            before: inputs.before.clone(),
            after,
            outputs: outcome::outputs(&self.call, start, &self.store)?,
            presentation: self.call.presentation.clone(),
            messages: ran.messages.clone(),
            stdout: stdout.to_owned(),
            seconds,
            origin: ci::origin(),
        };
        let written = self.store.write(unit, &inputs.before.key(), &entry);
        written.map(drop).map_err(|error| Unrecorded::Store(error.to_string()))
    }

    /// Notes what a local library is made of. To be called before cargo hears that it, or its
    /// metadata, is there.
    fn note(&self) {
        if self.package.is_local()
            && let Some(note) = Note::of_local_crate(&self.call, &self.package)
        {
            let mut digests = Digests::kept_in(self.store.digests());
            let _ = note.write_for_content(&self.store, &self.call, &mut digests);
        }
    }

    fn log(&self, is_local: bool, what: What, seconds: f64) {
        Event::new(&self.package, is_local, self.kind(), self.is_check(), what, seconds)
            .write(&self.store);
    }
}
