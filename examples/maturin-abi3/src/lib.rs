//! The Python side: argument handling only. The work is done in [`matching`].

mod matching;

/// Find the candidates nearest to a mistyped word.
///
/// >>> import nearword
/// >>> nearword.nearest("buidl", ["build", "run", "clean"])
/// ['build']
#[pyo3::pymodule]
mod nearword {
    use pyo3::prelude::*;

    use crate::matching;

    /// The number of single-character edits that turn `a` into `b`.
    ///
    /// An edit inserts, deletes or replaces one character, or swaps two
    /// neighbours ("optimal string alignment"). Characters are Unicode code
    /// points.
    #[pyfunction]
    fn distance(py: Python<'_>, a: String, b: String) -> usize {
        py.detach(|| matching::distance(&a, &b))
    }

    /// The candidates nearest to `word`, best first.
    ///
    /// At most `limit` are returned; equally near ones keep their order.
    /// Without `max_distance`, a candidate may differ in a third of the
    /// word's characters, and in one at least.
    #[pyfunction]
    #[pyo3(signature = (word, candidates, *, limit=3, max_distance=None))]
    fn nearest(
        py: Python<'_>,
        word: String,
        candidates: Vec<String>,
        limit: usize,
        max_distance: Option<usize>,
    ) -> Vec<String> {
        py.detach(|| {
            matching::nearest(&word, &candidates, limit, max_distance)
                .into_iter()
                .map(str::to_owned)
                .collect()
        })
    }
}
