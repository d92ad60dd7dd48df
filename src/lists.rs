//! Small sets are lists: that takes less code than a tree or a hash table.

/// Adds an item unless the list contains it; returns whether it was added.
pub(crate) fn add_new<T: PartialEq>(list: &mut Vec<T>, item: T) -> bool {
    let is_new = !list.contains(&item);
    if is_new {
        list.push(item);
    }
    is_new
}
