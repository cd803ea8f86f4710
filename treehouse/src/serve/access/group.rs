//! The group whose members see everything.
//!
//! Who is a member is told by the kernel (the primary group of the peer when it connected) or by the user database (the groups
//! of the peer's user). It is not read from `/proc/PID/status`: by then the process may have ended and its id gone to another,
//! or it may run another program with other groups, while the connection is still the first one's.

use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use crate::failure::Failure;

/// A group of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrustedGroup(Gid);

impl TrustedGroup {
    /// Looks a group up, by name or by number.
    pub(super) fn find(name: &str) -> Result<Self, Failure> {
        let by_name = Group::from_name(name).ok().flatten().map(|g| g.gid);
        let by_number = || name.parse().ok().map(Gid::from_raw);
        by_name.or_else(by_number).map(Self).ok_or_else(|| {
            Failure::Input(format!("serve.trusted_group: no group {name:?} here: make it (groupadd {name}), or name another one"))
        })
    }

    /// True where this user, with this primary group, is a member. May ask a server of users, and so wait.
    pub(super) fn has(self, uid: u32, gid: u32) -> bool {
        gid == self.0.as_raw() || self.lists(uid).unwrap_or(false)
    }

    fn lists(self, uid: u32) -> Option<bool> {
        let user = User::from_uid(Uid::from_raw(uid)).ok()??;
        let groups = getgrouplist(&CString::new(user.name).ok()?, user.gid).ok()?;
        Some(groups.contains(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_by_their_group_or_by_the_user_database() {
        let root = TrustedGroup::find("root").unwrap();
        assert!(root.has(65534, 0), "by the kernel's word");
        assert!(root.has(0, 12345), "root is in group root by the user database");
        let other = TrustedGroup::find("54321").unwrap();
        assert!(other.has(65534, 54321) && !other.has(65534, 65534) && !other.has(4_000_000_000, 4_000_000_000));
        let problem = TrustedGroup::find("no-such-group").unwrap_err().to_string();
        assert!(problem.contains("serve.trusted_group") && problem.contains("groupadd no-such-group"), "{problem}");
    }
}
