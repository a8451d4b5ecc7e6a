//! From root to somebody who may do less, once the ports are taken.
//!
//! Nothing needs root afterwards: a reload reads files as the user, and an upgrade inherits the sockets. So zones and
//! policies are read, and packets parsed, by the user from the first on.

use crate::cli::config::Identity;
use nix::unistd::{Gid, Group, Uid, User, geteuid, initgroups, setresgid, setresuid};
use std::ffi::CString;
use std::os::unix::fs::lchown;
use std::path::Path;

/// Becomes the user and group that the configuration names, with the groups of that user and no capability, for all
/// threads. The state folder, made if need be, becomes the user's. Without names nothing changes.
///
/// # Errors
/// A text for people: nobody of that name, or not allowed.
pub(super) fn give_up(identity: &Identity, state_dir: &Path) -> Result<(), String> {
    let Some((user, gid)) = look_up(identity)? else {
        if geteuid().is_root() {
            tracing::warn!("running as root; `user` in [server] names somebody who may do less");
        }
        return Ok(());
    };
    let name = &user.name;
    if geteuid() == user.uid {
        return Ok(());
    }
    if !geteuid().is_root() {
        return Err(format!(
            "[server] user = {name:?}: only root can become another user; start as root, or as {name}"
        ));
    }
    std::fs::create_dir_all(state_dir)
        .and_then(|()| adopt(state_dir, user.uid, gid))
        .map_err(|e| format!("{}: cannot be given to {name}: {e}", state_dir.display()))?;
    become_user(name, user.uid, gid).map_err(|e| format!("[server] user {name:?}: {e}"))?;
    tracing::info!("running as {name} (user {}, group {gid})", user.uid);
    Ok(())
}

/// Whom the configuration names, and in which group; `None` if nobody.
///
/// # Errors
/// A text for people: nobody of that name.
pub(super) fn look_up(identity: &Identity) -> Result<Option<(User, Gid)>, String> {
    let Some(name) = &identity.user else { return Ok(None) };
    let user = User::from_name(name).map_err(|e| format!("[server] user {name:?}: {e}"))?;
    let user = user.ok_or_else(|| format!("[server] user {name:?}: there is no such user"))?;
    let gid = match &identity.group {
        None => user.gid,
        Some(name) => {
            let group = Group::from_name(name).map_err(|e| format!("[server] group {name:?}: {e}"))?;
            group.ok_or_else(|| format!("[server] group {name:?}: there is no such group"))?.gid
        }
    };
    Ok(Some((user, gid)))
}

/// Gives the folder and the files in it to the user.
fn adopt(dir: &Path, uid: Uid, gid: Gid) -> std::io::Result<()> {
    lchown(dir, Some(uid.as_raw()), Some(gid.as_raw()))?;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            lchown(entry.path(), Some(uid.as_raw()), Some(gid.as_raw()))?;
        }
    }
    Ok(())
}

/// Groups first, since only root can change them; real, effective and saved ids, so that there is no way back. To leave
/// user 0 clears the capabilities (capabilities(7)).
fn become_user(name: &str, uid: Uid, gid: Gid) -> nix::Result<()> {
    let name = CString::new(name).map_err(|_| nix::Error::EINVAL)?;
    initgroups(&name, gid)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up() {
        let dir = tempfile::tempdir().unwrap();
        let check = |user: Option<&str>, group: Option<&str>| {
            let identity = Identity { user: user.map(String::from), group: group.map(String::from) };
            give_up(&identity, dir.path())
        };
        assert_eq!(check(None, None), Ok(()));
        assert!(check(Some("no-such-user"), None).unwrap_err().contains("there is no such user"));
        assert!(check(Some("root"), Some("no-such-group")).unwrap_err().contains("there is no such group"));
        if geteuid().is_root() {
            assert_eq!(check(Some("root"), None), Ok(()), "who is there already stays");
        }
    }
}
