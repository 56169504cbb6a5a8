use super::*;

#[test]
fn secrets_stay_out() {
    assert_eq!(mask("PYO3_PYTHON", "/a"), "/a");
    assert_eq!(mask("MY_API_TOKEN", "x"), "***");
    assert_eq!(mask("INDEX", "https://u:p@h/"), "https://***@h/");
}

#[test]
fn what_differs_between_two_records_is_named() {
    let base = Record {
        rustc: 1,
        features: "[]".into(),
        local: vec![Local::Precalculated("1.0s (src/a.rs)".into())],
        ..Record::default()
    };
    let reason = |change: fn(&mut Record)| {
        let mut other = base.clone();
        change(&mut other);
        record_difference(&base, &other).map(|why| (why.reason, why.detail))
    };
    assert_eq!(reason(|_| ()), None);
    assert_eq!(reason(|record| record.rustc = 2), Some((Reason::RustcChanged, None)));
    assert_eq!(
        reason(|record| record.features = "[\"x\"]".into()),
        Some((Reason::FeaturesChanged, None))
    );
    assert_eq!(
        reason(|record| record.rustflags = vec!["-g".into()]),
        Some((Reason::RustflagsChanged, None))
    );
    assert_eq!(
        reason(|record| record.local = vec![Local::Precalculated("2.0s (src/b.rs)".into())]),
        Some((Reason::InputChanged, Some("src/b.rs".into())))
    );
}
