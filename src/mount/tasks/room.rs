//! Whose results have to go when one more has to be kept.

/// How many of its oldest results each principal gives up, so that `own` can keep one more of `bytes` bytes; `None` where it
/// cannot be kept, and then nobody gives up anything. `held` are the sizes of the results that each principal has, oldest
/// first; one principal may hold `each` bytes, and all of them together `all`.
///
/// What goes is of whoever holds the most, the new result counted as held already: that is always more than an equal part of
/// the whole, so that who holds less than such a part loses nothing to others.
pub(super) fn given_up(
    held: &[Vec<usize>],
    own: usize,
    bytes: usize,
    (each, all): (usize, usize),
) -> Option<Vec<usize>> {
    let mut sums: Vec<usize> = held.iter().map(|sizes| sizes.iter().sum()).collect();
    let mut given = vec![0; held.len()];
    *sums.get_mut(own)? += bytes;
    loop {
        let from = if sums[own] > each {
            own
        } else if sums.iter().sum::<usize>() > all {
            // Among those who hold the same, the newest result is of more use than the oldest.
            (0..sums.len()).max_by_key(|&who| (sums[who], who != own))?
        } else {
            return Some(given);
        };
        // `own` may have nothing but the new result.
        let size = held[from].get(given[from])?;
        given[from] += 1;
        sums[from] -= size;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn who_holds_the_most_gives_up_its_oldest() {
        let full = [vec![8, 8], vec![16], vec![4, 4, 4, 4], vec![16], vec![]];
        // Four have filled the whole, and the fifth has room all the same.
        for (bytes, given) in [(8, vec![0, 0, 0, 1, 0]), (16, vec![0, 0, 0, 1, 0]), (17, vec![0, 0, 0, 1, 0])] {
            assert_eq!(given_up(&full, 4, bytes, (16, 64)), (bytes <= 16).then_some(given), "{bytes}");
        }
        // One alone has its own share and no more.
        assert_eq!(given_up(&[vec![4, 8]], 0, 4, (16, 64)), Some(vec![0]));
        assert_eq!(given_up(&[vec![4, 8]], 0, 5, (16, 64)), Some(vec![1]));
        assert_eq!(given_up(&[vec![4, 8]], 0, 16, (16, 64)), Some(vec![2]));
        assert_eq!(given_up(&[vec![4, 8]], 0, 17, (16, 64)), None);
        // Those who hold little lose nothing to one that holds much.
        let many = vec![vec![6]; 10];
        assert_eq!(given_up(&[many.clone(), vec![vec![]]].concat(), 10, 16, (16, 64)), None);
        assert_eq!(given_up(&[many, vec![vec![4]]].concat(), 10, 4, (16, 64)), Some([vec![0; 10], vec![1]].concat()));
    }

    proptest! {
        #[test]
        fn who_holds_less_than_an_equal_part_loses_nothing(
            sizes in vec(vec(1_usize..30, 0..6), 1..8), own: prop::sample::Index, bytes in 0_usize..80,
        ) {
            let (each, all) = (60, 100);
            // What is held already is within the bounds.
            let mut held: Vec<Vec<usize>> = sizes;
            for sizes in &mut held {
                while sizes.iter().sum::<usize>() > each {
                    sizes.pop();
                }
            }
            while held.iter().flatten().sum::<usize>() > all {
                held.iter_mut().find_map(Vec::pop);
            }
            let own = own.index(held.len());
            let holders = held.iter().enumerate().filter(|(who, sizes)| *who == own || !sizes.is_empty()).count();
            match given_up(&held, own, bytes, (each, all)) {
                None => {
                    // It is larger than its owner may hold, or than an equal part.
                    prop_assert!(bytes > each || bytes * holders > all);
                }
                Some(given) => {
                    let left: Vec<usize> = held.iter().zip(&given).map(|(s, n)| s[*n..].iter().sum()).collect();
                    prop_assert!(left[own] + bytes <= each && left.iter().sum::<usize>() + bytes <= all);
                    for (who, n) in given.iter().enumerate().filter(|(who, n)| *who != own && **n > 0) {
                        let before: usize = held[who][n - 1..].iter().sum();
                        prop_assert!(before * holders > all, "{who} held {before}, less than its part");
                    }
                }
            }
        }
    }
}
