//! Takes out of a recording what tells which machine it was: where its file systems were mounted, and numbers of single devices.

use std::path::{Path, PathBuf};

use carbon_api::detect::Options;
use carbon_api::domain::DomainInfo;
use carbon_api::error::ReadError;
use carbon_api::meter::replay::RecordedSource;
use carbon_api::meter::replay::format::RecordedDomain;

/// What is written in place of what.
pub(super) struct Scrub(Vec<(String, String)>);

impl Scrub {
    pub(super) fn new(roots: &Options, domains: &[DomainInfo]) -> Self {
        let mounts =
            [(&roots.cgroupfs, "/sys/fs/cgroup"), (&roots.sysfs, "/sys"), (&roots.procfs, "/proc"), (&roots.dev, "/dev")];
        // a library or a folder that somebody named may lie in a home
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let mut pairs: Vec<(String, String)> = mounts
            .into_iter()
            .chain([(&home, "~")])
            .map(|(root, usual)| (root.to_string_lossy().trim_end_matches('/').to_owned(), usual.to_owned()))
            .filter(|(root, usual)| root != usual && !root.is_empty())
            .collect();
        // one folder may lie in another: the longer name first
        pairs.sort_by_key(|(root, _)| std::cmp::Reverse(root.len()));
        let mut boards: Vec<&str> = Vec::new();
        for d in domains.iter().filter(|d| is_unique(&d.device)) {
            if !boards.contains(&&*d.device) {
                boards.push(&d.device);
            }
        }
        pairs.extend(boards.iter().enumerate().map(|(i, id)| ((*id).to_owned(), format!("{}-{i}", &id[..3]))));
        Self(pairs)
    }

    fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.text(&path.to_string_lossy()).into()
    }

    pub(super) fn domain(&self, domain: &DomainInfo) -> RecordedDomain {
        let recorded = RecordedDomain::from(domain);
        RecordedDomain { device: self.text(&domain.device).into(), name: self.text(&domain.name).into(), ..recorded }
    }

    pub(super) fn source(&self, source: RecordedSource) -> RecordedSource {
        RecordedSource {
            detail: self.text(&source.detail),
            path: source.path.map(|p| self.path(&p)),
            mend: source.mend.map(|m| self.text(&m)),
            ..source
        }
    }

    pub(super) fn error(&self, error: &mut ReadError) {
        let (ReadError::Absent { path, .. }
        | ReadError::Denied { path, .. }
        | ReadError::Malformed { path, .. }
        | ReadError::Io { path, .. }) = error;
        *path = self.path(path);
    }
}

/// The UUID of a GPU or of a partition of one: there is no second device of that name on earth.
fn is_unique(device: &str) -> bool {
    (device.starts_with("GPU-") || device.starts_with("MIG-")) && device.len() > 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_become_the_usual_ones_and_boards_are_numbered() {
        let roots =
            Options { sysfs: "/home/ada/m/sys".into(), cgroupfs: "/home/ada/m/sys/fs/cgroup".into(), ..Options::default() };
        let scrub =
            Scrub(Scrub::new(&roots, &[]).0.into_iter().chain([("GPU-1d2e3f40-aaaa-bbbb".into(), "GPU-0".into())]).collect());
        assert_eq!(scrub.text("/home/ada/m/sys/class and /home/ada/m/sys/fs/cgroup"), "/sys/class and /sys/fs/cgroup");
        assert_eq!(scrub.text("GPU-1d2e3f40-aaaa-bbbb is lost"), "GPU-0 is lost");
        assert!(is_unique("GPU-1d2e3f40-aaaa-bbbb-cccc-000000000000") && !is_unique("GPU-0") && !is_unique("socket0"));
        let mut error = ReadError::Io { path: "/home/ada/m/sys/x".into(), errno: 5 };
        scrub.error(&mut error);
        assert_eq!(error, ReadError::Io { path: "/sys/x".into(), errno: 5 });
    }
}
