//! A forest as rows: who stands below whom, with the lines that show it.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// One row of the forest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Branch<K> {
    pub key: K,
    /// For each level above: whether more follows there. The last one is this row's own.
    pub more: Vec<bool>,
    /// How many rows hide below it because it is folded.
    pub hidden: usize,
}

/// Deepest level that is drawn; deeper rows are drawn at it. Nobody reads a tree of a thousand levels, an attacker may build one.
const DEEPEST: usize = 24;

/// The rows in order. `items` are (row, what stands above it) in the order wanted among brothers; a row whose parent is not
/// among them is a root. Walks with its own stack and visits each row once, so loops and depth cannot hurt.
pub(crate) fn branches<K: Copy + Eq + Hash>(items: &[(K, Option<K>)], folded: &HashSet<K>) -> Vec<Branch<K>> {
    let known: HashSet<K> = items.iter().map(|(key, _)| *key).collect();
    let mut below: HashMap<K, Vec<K>> = HashMap::new();
    let mut roots = Vec::new();
    for (key, parent) in items {
        match parent.filter(|parent| known.contains(parent) && parent != key) {
            Some(parent) => below.entry(parent).or_default().push(*key),
            None => roots.push(*key),
        }
    }
    let mut out: Vec<Branch<K>> = Vec::with_capacity(items.len());
    let mut stack: Vec<(K, Vec<bool>, Option<usize>)> = Vec::new();
    push(&mut stack, &roots, &[], None);
    while let Some((key, more, hidden_in)) = stack.pop() {
        let mut hide_in = hidden_in;
        if let Some(at) = hidden_in {
            if let Some(branch) = out.get_mut(at) {
                branch.hidden += 1;
            }
        } else {
            if folded.contains(&key) {
                hide_in = Some(out.len());
            }
            out.push(Branch { key, more: more.clone(), hidden: 0 });
        }
        push(&mut stack, below.remove(&key).as_deref().unwrap_or_default(), &more, hide_in);
    }
    out
}

fn push<K: Copy>(stack: &mut Vec<(K, Vec<bool>, Option<usize>)>, brothers: &[K], above: &[bool], hidden_in: Option<usize>) {
    for (at, key) in brothers.iter().enumerate().rev() {
        let mut more: Vec<bool> = above.iter().take(DEEPEST).copied().collect();
        more.push(at + 1 < brothers.len());
        stack.push((*key, more, hidden_in));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_below_their_parents_and_fold() {
        let items = [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(1)), (5, Some(9))];
        let keys = |folded: &[i32]| {
            branches(&items, &folded.iter().copied().collect()).into_iter().map(|b| (b.key, b.more.len(), b.hidden)).collect::<Vec<_>>()
        };
        assert_eq!(keys(&[]), [(1, 1, 0), (2, 2, 0), (3, 3, 0), (4, 2, 0), (5, 1, 0)]);
        assert_eq!(keys(&[1]), [(1, 1, 3), (5, 1, 0)]);
    }

    #[test]
    fn depth_and_loops_do_no_harm() {
        let chain: Vec<_> = (0..50_000).map(|n| (n, if n == 0 { None } else { Some(n - 1) })).collect();
        assert_eq!(branches(&chain, &HashSet::new()).len(), 50_000);
        assert!(branches(&[(1, Some(2)), (2, Some(1))], &HashSet::new()).is_empty(), "a loop has no root; the caller lists it apart");
        assert_eq!(branches(&[(1, Some(1))], &HashSet::new()).len(), 1);
    }
}
