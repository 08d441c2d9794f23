//! The worker whose agent has made a worker.

use serde::{Deserialize, Serialize};

/// The worker whose agent has made this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its id.
    pub id: String,
    /// Its name at that time.
    pub name: String,
    /// The ids of the workers above it, the first one last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<String>,
}

impl Parent {
    /// Returns the number of workers above its child.
    pub fn depth(&self) -> usize {
        self.above.len() + 1
    }

    /// Returns the ids of all workers above its child, the parent first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.above.iter().map(String::as_str))
    }

    /// Returns whether a worker is its child's parent, or above that one.
    pub fn descends_from(&self, worker: &str) -> bool {
        self.ids().any(|id| id == worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_descend_from_all_workers_above_them() {
        let parent = Parent { id: "b".to_owned(), name: "B".to_owned(), above: vec!["a".to_owned()] };
        assert_eq!(parent.depth(), 2);
        assert_eq!(parent.ids().collect::<Vec<_>>(), ["b", "a"]);
        assert!(parent.descends_from("a") && parent.descends_from("b") && !parent.descends_from("c"));
        let text = serde_json::to_string(&parent).unwrap();
        assert_eq!(serde_json::from_str::<Parent>(&text).unwrap(), parent);
    }
}
