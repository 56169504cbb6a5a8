//! `doctor`: finds what makes builds slow or stale, and suggests fixes.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde_json::json;

use super::failure::{Result, UsageError};
use super::{MessageFormat, directory_or_here, options};
use crate::doctor::{self, Facts, Finding, Fix, Rule, Severity, look};
use crate::interpreter::{self, Source, Wanted};
use crate::project::Project;
use crate::report::Report;
use crate::ui::{self, Ui};
use crate::units::log::{self, What};
use crate::units::store::Store;
use crate::units::upkeep;
use crate::{env_vars, exit_code};

/// Find what makes builds slow or stale, and suggest fixes.
///
/// Changes nothing without --fix. Exits with 1 if there are errors or warnings, else with 0.
#[derive(Debug, Clone, Args)]
pub(super) struct DoctorArgs {
    /// Project directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// Interpreter that builds use: a path, a name, or a version such as 3.12
    #[arg(short, long, env = env_vars::PYTHON, value_name = "PYTHON")]
    pub python: Option<String>,
    /// Apply the fixes that do not change build results, to files in the checkout only
    #[arg(long)]
    pub fix: bool,
    /// Skip a rule (can be repeated)
    #[arg(long, value_name = "RULE")]
    pub allow: Vec<String>,
    /// List the rules without checking anything
    #[arg(long, conflicts_with_all = ["fix", "explain", "directory"])]
    pub list: bool,
    /// Explain a rule: what it finds, what that costs, and the fix
    #[arg(long, value_name = "RULE", conflicts_with_all = ["fix", "directory"])]
    pub explain: Option<String>,
}

pub(super) fn run(
    args: &DoctorArgs,
    root: Option<&Path>,
    format: MessageFormat,
    ui: &Ui,
) -> Result<u8> {
    if args.list {
        list(doctor::RULES, format, ui);
        return Ok(exit_code::OK);
    }
    if let Some(id) = &args.explain {
        explain(known(id)?, format, ui);
        return Ok(exit_code::OK);
    }
    for id in &args.allow {
        known(id)?;
    }
    let project = Project::load_any(directory_or_here(args.directory.as_deref()))?;
    let ours = options::root_of(&project, root)?;
    let (mut facts, mut missed) = examined(&project, &ours, args)?;
    let mut findings = findings(&facts, args);
    let fixed = if args.fix { apply(&findings, &facts.checkout, ui) } else { Vec::new() };
    if !fixed.is_empty() {
        (facts, missed) = examined(&project, &ours, args)?;
        findings = self::findings(&facts, args);
    }
    let fails = findings.iter().any(|finding| finding.severity <= Severity::Warning);
    for reason in &missed {
        ui.warning(format_args!("not checked: {reason}"));
    }
    match format {
        MessageFormat::Json => {
            let count =
                |severity| findings.iter().filter(|finding| finding.severity == severity).count();
            ui.result(json!({
                "schema": 1,
                "command": "doctor",
                "ok": !fails,
                "counts": {"error": count(Severity::Error), "warning": count(Severity::Warning), "note": count(Severity::Note)},
                "findings": findings,
                "fixed": fixed,
                "not_checked": missed,
            }));
        }
        MessageFormat::Human => {
            for fix in &fixed {
                ui.status("Fixed", fix);
            }
            for finding in &findings {
                ui.result(rendered(finding));
            }
            ui.status(
                "Checked",
                format_args!(
                    "{}: {}",
                    project.directory.display(),
                    summary(&findings, missed.len())
                ),
            );
        }
    }
    Ok(if fails { exit_code::BUILD_FAILED } else { exit_code::OK })
}

fn known(id: &str) -> Result<&'static Rule, UsageError> {
    doctor::rule(id).ok_or_else(|| UsageError {
        message: format!("unknown rule `{id}`"),
        hint: Some("`cargo pyenv-build doctor --list` lists all rules".to_owned()),
    })
}

/// Looks at everything. Nothing is written: interpreters are queried again.
fn examined(project: &Project, ours: &Path, args: &DoctorArgs) -> Result<(Facts, Vec<String>)> {
    let scratch = tempfile::tempdir()?;
    let chosen =
        interpreter::discover(&options::wanted(project, args.python.as_ref()), scratch.path());
    let abi_of = |python: &Path| {
        let request = Some((python.to_str()?.to_owned(), Source::Flag));
        let wanted =
            Wanted { request, requires_python: None, directory: project.directory.clone() };
        Some(interpreter::discover(&wanted, scratch.path()).ok()?.identity.abi())
    };
    let is_chosen = |name: &str| name != "auto";
    let given = look::Given {
        project,
        ours: ours.to_path_buf(),
        interpreter: chosen.as_ref().ok().map(|interpreter| interpreter.identity.abi()),
        last: last_build(ours),
        store: store_use(ours),
        installer_is_chosen: env_vars::get(env_vars::INSTALLER).as_deref().is_some_and(is_chosen)
            || project.settings.installer.as_deref().is_some_and(is_chosen),
        abi_of: &abi_of,
    };
    let (facts, mut missed) = look::look(&given);
    match chosen {
        Err(error @ interpreter::Error::Interrupted(_)) => return Err(error.into()),
        Err(error) => missed.push(format!("the interpreter for builds: {error}")),
        Ok(_) => {}
    }
    Ok((facts, missed))
}

fn last_build(ours: &Path) -> Option<doctor::facts::LastBuild> {
    let report = Report::read(&ours.join("reports/last.json"))?;
    let tag = report.interpreter.as_ref()?.abi_tag.clone();
    let abi = tag.split('-').next().unwrap_or(&tag).to_owned();
    Some(doctor::facts::LastBuild { abi, pyo3_python: report.pins.get("PYO3_PYTHON")?.clone() })
}

/// What the store saved in this job. Outside CI it costs nothing, as it is neither restored nor
/// saved.
fn store_use(ours: &Path) -> Option<doctor::facts::StoreUse> {
    if !env_vars::is_ci() {
        return None;
    }
    let report =
        Report::read(&ours.join("reports/last.json")).unwrap_or_else(|| Report::new("build"));
    let store = Store::at(ours.join("store"));
    let size = upkeep::size(&store);
    // The report is of one command, if of any, and later steps may have reused more.
    let events = log::read(&log::path_of(&store));
    let logged = events.iter().filter_map(|event| match event.what {
        What::Reused { seconds_saved, .. } => Some(seconds_saved),
        _ => None,
    });
    let reported = report.crates.reused.iter().map(|one| one.seconds_saved);
    Some(doctor::facts::StoreUse {
        path: store.root().to_path_buf(),
        bytes: size.bytes,
        incremental_bytes: size.incremental_bytes,
        reused: report.store.reused.max(logged.clone().count() as u64),
        seconds_saved: reported.sum::<f64>().max(logged.sum()),
    })
}

fn findings(facts: &Facts, args: &DoctorArgs) -> Vec<Finding> {
    let mut findings = doctor::examine(facts);
    findings.retain(|finding| !args.allow.iter().any(|id| id == finding.rule));
    findings
}

/// Applies the fixes. Returns those that changed something.
fn apply(findings: &[Finding], checkout: &Path, ui: &Ui) -> Vec<Fix> {
    let mut made: Vec<Fix> = Vec::new();
    for fix in findings.iter().flat_map(|finding| &finding.fixes) {
        match fix.apply(checkout) {
            Ok(true) => made.push(fix.clone()),
            Ok(false) => {}
            Err(error) => ui.warning(format_args!("{:#}", anyhow::Error::from(error))),
        }
    }
    made
}

fn rendered(finding: &Finding) -> String {
    let path = finding
        .path
        .as_ref()
        .map_or_else(String::new, |path| format!("\n  --> {}", path.display()));
    let fix = if finding.fixes.is_empty() { "" } else { " (`--fix` does this)" };
    format!(
        "{}[{}]: {}{path}\n  why:  {}\n  help: {}{fix}\n",
        finding.severity.name(),
        finding.rule,
        finding.message,
        finding.why,
        finding.suggestion
    )
}

fn summary(findings: &[Finding], not_checked: usize) -> String {
    let count = |severity: Severity| {
        let number = findings.iter().filter(|finding| finding.severity == severity).count();
        (number > 0).then(|| ui::counted(number, severity.name()))
    };
    let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .filter_map(count)
        .collect();
    let found = if parts.is_empty() { "no problems found".to_owned() } else { parts.join(", ") };
    match not_checked {
        0 => found,
        1 => format!("{found}, but one thing could not be checked"),
        count => format!("{found}, but {count} things could not be checked"),
    }
}

fn as_json(rule: &Rule) -> serde_json::Value {
    json!({"rule": rule.id, "severity": rule.severity, "summary": rule.summary, "why": rule.why, "suggestion": rule.suggestion})
}

fn list(rules: &[&Rule], format: MessageFormat, ui: &Ui) {
    match format {
        MessageFormat::Json => {
            let rules: Vec<_> = rules.iter().map(|rule| as_json(rule)).collect();
            ui.result(json!({"schema": 1, "command": "doctor", "ok": true, "rules": rules}));
        }
        MessageFormat::Human => {
            let width = rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
            for rule in rules {
                ui.result(format_args!(
                    "{:width$}  {:7}  {}",
                    rule.id,
                    rule.severity.name(),
                    rule.summary
                ));
            }
        }
    }
}

fn explain(rule: &Rule, format: MessageFormat, ui: &Ui) {
    match format {
        MessageFormat::Json => ui.result(
            json!({"schema": 1, "command": "doctor", "ok": true, "rules": [as_json(rule)]}),
        ),
        MessageFormat::Human => {
            ui.result(format_args!("{} ({}): {}\n", rule.id, rule.severity.name(), rule.summary));
            ui.result(format_args!("why:  {}\nhelp: {}", rule.why, rule.suggestion));
        }
    }
}
