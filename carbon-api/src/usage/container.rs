//! Tells a container's control group by its path. Layouts: Docker, containerd, CRI-O, Podman, nerdctl, kubelet, LXC, machined, ECS.

/// The container that a cgroup path names, where it names one.
pub fn container_id(path: &str) -> Option<&str> {
    let last = path.rsplit('/').next()?;
    hexadecimal(last).or_else(|| named(last))
}

/// `docker-<64 hex>.scope`, `cri-containerd-…`, `crio-…`, `libpod-…`, or the bare id. `libpod-conmon-…` is the keeper, not the container.
fn hexadecimal(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let id = ["docker-", "cri-containerd-", "crio-", "libpod-", "containerd-", "nerdctl-"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (id.len() == 64 && id.bytes().all(is_hex)).then_some(id)
}

/// `lxc.payload.<name>` and `machine-<name>.scope`.
fn named(name: &str) -> Option<&str> {
    let lxc = name.strip_prefix("lxc.payload.");
    let machine = || name.strip_prefix("machine-").and_then(|n| n.strip_suffix(".scope"));
    lxc.or_else(machine).filter(|n| !n.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn every_known_cgroup_path_names_its_container() {
        for path in [
            format!("/docker/{ID}"),
            format!("/system.slice/docker-{ID}.scope"),
            format!("/kubepods/burstable/pod12/{ID}"),
            format!("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice/cri-containerd-{ID}.scope"),
            format!("/kubelet.slice/kubelet-kubepods.slice/crio-{ID}.scope"),
            format!("/machine.slice/libpod-{ID}.scope"),
            format!("/ecs/task/{ID}"),
            format!("/default/nerdctl-{ID}.scope"),
        ] {
            assert_eq!(container_id(&path), Some(ID), "{path}");
        }
        assert_eq!(container_id("/lxc.payload.web"), Some("web"));
        assert_eq!(container_id("/machine.slice/machine-db.scope"), Some("db"));
    }

    #[test]
    fn conmon_is_not_the_container() {
        assert_eq!(container_id(&format!("/machine.slice/libpod-conmon-{ID}.scope")), None);
        assert_eq!(container_id(&format!("/kubepods.slice/crio-conmon-{ID}.scope")), None);
    }

    #[test]
    fn a_service_is_no_container() {
        for path in ["/system.slice/ssh.service", "/user.slice/user-0.slice/session-1.scope", "/", ""] {
            assert_eq!(container_id(path), None, "{path}");
        }
    }
}
