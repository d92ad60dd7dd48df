//! A set of few things is a list: that takes less code than a tree or a table.

/// Adds an item unless the list has it. Whether it was new.
pub(crate) fn add_new<T: PartialEq>(list: &mut Vec<T>, item: T) -> bool {
    let is_new = !list.contains(&item);
    if is_new {
        list.push(item);
    }
    is_new
}
