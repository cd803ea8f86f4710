//! Whose a consumer is: the user of a process, or the one user of all processes of a group.
//!
//! What is not surely one user's is nobody's: a group with processes of two users, a process that changed its user.

use std::collections::HashMap;
use std::sync::Arc;

use super::container::container_id;
use super::placement::Groups;

/// Whose a consumer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Nobody has been seen in it.
    #[default]
    Unknown,
    /// All of it is this user's, by its user id.
    User(u32),
    /// It has been several users'.
    Mixed,
}

impl Owner {
    /// The user, where there is one.
    pub const fn uid(self) -> Option<u32> {
        match self {
            Self::User(uid) => Some(uid),
            Self::Unknown | Self::Mixed => None,
        }
    }

    /// Whose both together are.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, owner) | (owner, Self::Unknown) => owner,
            (a, b) if a == b => a,
            _ => Self::Mixed,
        }
    }
}

/// The users of the processes in each group that can be a row: told by the process source, asked by the group source.
#[derive(Debug, Default)]
pub struct GroupOwners {
    v2: HashMap<Arc<str>, Members>,
    v1: HashMap<Arc<str>, Members>,
}

#[derive(Debug, Default)]
struct Members {
    processes: u32,
    owner: Owner,
}

impl GroupOwners {
    /// Notes a process that came; `None` where its user cannot be told.
    pub fn came(&mut self, groups: &Groups, uid: Option<u32>) {
        let owner = uid.map_or(Owner::Mixed, Owner::User);
        for (map, path) in [(&mut self.v2, &groups.v2), (&mut self.v1, &groups.v1)] {
            if &**path == "/" {
                continue;
            }
            let row = row_of(path);
            let row = if row.len() == path.len() { Arc::clone(path) } else { row.into() };
            let members = map.entry(row).or_default();
            members.processes += 1;
            members.owner = members.owner.join(owner);
        }
    }

    /// Notes that a process of these groups has another user by now.
    pub fn changed(&mut self, groups: &Groups) {
        for (map, path) in [(&mut self.v2, &groups.v2), (&mut self.v1, &groups.v1)] {
            if let Some(members) = map.get_mut(row_of(path)) {
                members.owner = Owner::Mixed;
            }
        }
    }

    /// Notes a process that left; what its group was stays said for as long as others are in it.
    pub fn left(&mut self, groups: &Groups) {
        for (map, path) in [(&mut self.v2, &groups.v2), (&mut self.v1, &groups.v1)] {
            let row = row_of(path);
            if let Some(members) = map.get_mut(row) {
                members.processes = members.processes.saturating_sub(1);
                if members.processes == 0 {
                    map.remove(row);
                }
            }
        }
    }

    /// Whose the processes of a v2 group are now.
    pub fn of_v2(&self, path: &str) -> Owner {
        self.v2.get(path).map_or(Owner::Unknown, |m| m.owner)
    }

    /// Whose the processes of a v1 group are now.
    pub fn of_v1(&self, path: &str) -> Owner {
        self.v1.get(path).map_or(Owner::Unknown, |m| m.owner)
    }
}

/// The group that counts for a path: a container with everything below it is one row.
fn row_of(path: &str) -> &str {
    let ends = path.char_indices().skip(1).filter(|&(_, c)| c == '/').map(|(i, _)| i);
    ends.chain([path.len()]).map(|end| &path[..end]).find(|p| container_id(p).is_some()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn groups(path: &str) -> Groups {
        Groups { v2: path.into(), v1: "/".into() }
    }

    #[test]
    fn a_group_is_its_only_users_and_two_make_it_nobodys() {
        let mut owners = GroupOwners::default();
        let group = groups("/user.slice/a");
        owners.came(&group, Some(1000));
        owners.came(&group, Some(1000));
        assert_eq!(owners.of_v2("/user.slice/a"), Owner::User(1000));
        assert_eq!((owners.of_v2("/user.slice"), owners.of_v1("/user.slice/a")), (Owner::Unknown, Owner::Unknown));
        owners.came(&group, Some(0));
        owners.left(&group);
        assert_eq!(owners.of_v2("/user.slice/a"), Owner::Mixed, "what root used in it is still in its counter");
        owners.left(&group);
        owners.left(&group);
        assert_eq!(owners.of_v2("/user.slice/a"), Owner::Unknown);
        owners.came(&group, None);
        assert_eq!(owners.of_v2("/user.slice/a"), Owner::Mixed, "a user that cannot be told may be anybody");
    }

    #[test]
    fn a_process_deep_in_a_container_is_the_containers() {
        let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let (container, mut owners) = (format!("/docker/{id}"), GroupOwners::default());
        owners.came(&groups(&format!("{container}/init.scope/x")), Some(7));
        assert_eq!(owners.of_v2(&container), Owner::User(7));
        owners.changed(&groups(&format!("{container}/init.scope/x")));
        assert_eq!(owners.of_v2(&container), Owner::Mixed);
        owners.left(&groups(&format!("{container}/other")));
        assert_eq!(owners.of_v2(&container), Owner::Unknown);
    }

    proptest! {
        #[test]
        fn any_path_has_a_row_above_it(path in "(/[a-zé:.0-9]{0,70}){0,4}") {
            prop_assert!(path.starts_with(row_of(&path)));
        }

        #[test]
        fn joining_forgets_nobody(a in 0_u32..3, b in 0_u32..3) {
            let both = Owner::User(a).join(Owner::User(b));
            prop_assert_eq!(both.uid().is_some(), a == b);
            prop_assert_eq!(both.join(Owner::Unknown), both);
        }
    }
}
