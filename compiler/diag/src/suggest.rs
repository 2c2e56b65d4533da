//! "Did you mean".

/// The candidate nearest to what was written, if it is near enough to be meant: at most a third of its characters
/// differ (case apart). Ties go to the first candidate.
pub fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_lowercase();
    // A longer key cannot be a typo of a field name, and the distance is quadratic.
    if written.len() > 64 {
        return None;
    }
    let scored = candidates
        .into_iter()
        .map(|candidate| (distance(&written, &candidate.to_lowercase()), candidate));
    let (best, candidate) = scored.min_by_key(|(distance, _)| *distance)?;
    let limit = candidate
        .chars()
        .count()
        .max(written.chars().count())
        .div_ceil(3);
    (best <= limit).then_some(candidate)
}

/// A help line for [`nearest`].
pub fn did_you_mean<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(written, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// Edit distance with neighbouring swaps counted as one (restricted Damerau-Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let change = get(&last, j) + usize::from(x != y);
            let mut best = change.min(get(&last, j + 1) + 1).min(get(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(get(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    get(&last, b.len())
}

fn get(row: &[usize], at: usize) -> usize {
    row.get(at).copied().unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_typos_and_refuses_strangers() {
        let fields = ["fromEndpoints", "fromEntities", "toPorts", "icmps"];
        let cases = [
            ("fromEndpoint", Some("fromEndpoints")),
            ("fromendpoints", Some("fromEndpoints")),
            ("toProts", Some("toPorts")),
            ("icpms", Some("icmps")),
            ("selector", None),
            ("", None),
        ];
        for (written, wanted) in cases {
            assert_eq!(nearest(written, fields), wanted, "{written}");
        }
    }
}
