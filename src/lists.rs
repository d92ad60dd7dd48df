//! Small sets are lists: that takes less code than a tree or a hash table.

/// Adds an item unless the list contains it; returns whether it was added.
pub(crate) fn add_new<T: PartialEq>(list: &mut Vec<T>, item: T) -> bool {
    let is_new = !list.contains(&item);
    if is_new {
        list.push(item);
    }
    is_new
}

/// Insertion sort: the standard library's is several kilobytes for each type.
pub(crate) fn sort<T: Ord>(list: &mut [T]) {
    for end in 1..list.len() {
        for at in (1..=end).rev() {
            if list[at - 1] <= list[at] {
                break;
            }
            list.swap(at - 1, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_every_order_are_sorted() {
        for number in 0..5_u32.pow(5) {
            let mut list: Vec<u32> = (0..5).map(|place| number / 5_u32.pow(place) % 5).collect();
            let mut expected = list.clone();
            expected.sort_unstable();
            sort(&mut list);
            assert_eq!(list, expected);
        }
        sort::<u32>(&mut []);
    }
}
