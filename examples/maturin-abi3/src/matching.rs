//! Edit distances and the search for near matches. Knows nothing of Python,
//! so `cargo test` needs no interpreter at run time.

/// Optimal string alignment distance between `a` and `b`, in characters.
pub fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();

    // Three rows of the table are enough: a swap looks back by two.
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut row: Vec<usize> = vec![0; b.len() + 1];

    for (i, &ca) in a.iter().enumerate() {
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let replace = above[j] + usize::from(ca != cb);
            let mut best = replace.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && ca == b[j - 1] && a[i - 1] == cb {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()]
}

/// Up to `limit` of `candidates`, nearest to `word` first; ties keep their order.
pub fn nearest<'c>(
    word: &str,
    candidates: &'c [String],
    limit: usize,
    max_distance: Option<usize>,
) -> Vec<&'c str> {
    let length = word.chars().count();
    let max_distance = max_distance.unwrap_or_else(|| (length / 3).max(1));

    let mut found: Vec<(usize, &str)> = candidates
        .iter()
        // The distance is never less than the difference in length.
        .filter(|c| c.chars().count().abs_diff(length) <= max_distance)
        .map(|c| (distance(word, c), c.as_str()))
        .filter(|&(d, _)| d <= max_distance)
        .collect();
    found.sort_by_key(|&(d, _)| d);
    found.truncate(limit);
    found.into_iter().map(|(_, c)| c).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|&w| w.to_owned()).collect()
    }

    #[test]
    fn known_distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("same", "same", 0),
            ("kitten", "sitting", 3),
            ("buidl", "build", 1),
            // A swapped pair is not edited again: three, not two.
            ("ca", "abc", 3),
            ("naïve", "naive", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a:?} -> {b:?}");
            assert_eq!(distance(b, a), expected, "{b:?} -> {a:?}");
        }
    }

    #[test]
    fn best_first_and_stable() {
        let candidates = words(&["bald", "build", "built", "guild", "cabbage"]);
        assert_eq!(
            nearest("build", &candidates, 3, Some(2)),
            ["build", "built", "guild"]
        );
        assert_eq!(
            nearest("build", &candidates, 9, Some(2)),
            ["build", "built", "guild", "bald"]
        );
    }

    #[test]
    fn the_default_bound_grows_with_the_word() {
        assert_eq!(nearest("rn", &words(&["run", "turn"]), 3, None), ["run"]);
        assert_eq!(
            nearest("provison", &words(&["provision", "promises"]), 3, None),
            ["provision"]
        );
    }

    #[test]
    fn nothing_is_near() {
        assert!(nearest("xyz", &words(&["build", "run"]), 3, None).is_empty());
        assert!(nearest("build", &words(&["build"]), 0, None).is_empty());
        assert!(nearest("build", &[], 3, None).is_empty());
    }
}
