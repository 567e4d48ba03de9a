//! Who a program runs as, by the container's own `/etc/passwd` and `/etc/group`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use crate::launch::UserSpec;
use crate::sys::in_root;

/// A user with all it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    /// `/` for a user that has no entry.
    pub(super) home: String,
}

/// Why there is no such user.
#[derive(Debug, thiserror::Error)]
pub(in crate::launch) enum UserError {
    #[error("unable to find user {0}: no matching entries in passwd file")]
    UnknownUser(String),
    #[error("unable to find group {0}: no matching entries in group file")]
    UnknownGroup(String),
    #[error("{0}: uids and gids must be in range 0-2147483647")]
    OutOfRange(String),
    #[error("cannot read the container's user database: {0}")]
    Database(#[from] io::Error),
}

/// An entry of `/etc/passwd`, passwd(5).
#[derive(Debug, Clone)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

/// An entry of `/etc/group`, group(5).
#[derive(Debug, Clone)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// Resolves `spec` in the container whose root is `root`.
pub(super) fn resolve(root: BorrowedFd<'_>, spec: &UserSpec) -> Result<Identity, UserError> {
    let users = parse_users(read_lines(root, "/etc/passwd")?);
    let groups = parse_groups(read_lines(root, "/etc/group")?);
    resolve_in(spec, &users, &groups)
}

/// The numbers of `user[:group]`, which may be names of the tree at `root`. Without a group it is
/// the one called like the user, as docker has it for files that a build copies.
pub(in crate::launch) fn owner(root: BorrowedFd<'_>, text: &str) -> Result<(u32, u32), UserError> {
    let user = if text.contains(':') {
        text.to_owned()
    } else {
        format!("{text}:{text}")
    };
    let spec = UserSpec {
        user,
        additional_groups: Vec::new(),
    };
    resolve(root, &spec).map(|identity| (identity.uid, identity.gid))
}

/// The home directory of a user known by number; `/` without an entry.
pub(super) fn home_of(root: BorrowedFd<'_>, uid: u32) -> String {
    let users = read_lines(root, "/etc/passwd").map(parse_users);
    users
        .unwrap_or_default()
        .into_iter()
        .find(|user| user.uid == uid)
        .map_or_else(|| "/".to_owned(), |user| user.home)
}

fn resolve_in(spec: &UserSpec, users: &[User], groups: &[Group]) -> Result<Identity, UserError> {
    let (user, group) = match spec.user.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (spec.user.as_str(), None),
    };
    let wanted = if user.is_empty() { "0" } else { user };
    let number = parse_number(wanted)?;
    let entry = users
        .iter()
        .find(|it| it.name == wanted || number == Some(it.uid));
    let (uid, mut gid, home) = match (entry, number) {
        (Some(entry), _) => (entry.uid, entry.gid, entry.home.clone()),
        (None, Some(uid)) => (uid, 0, "/".to_owned()),
        (None, None) => return Err(UserError::UnknownUser(wanted.to_owned())),
    };
    let mut supplementary = Vec::new();
    match group.filter(|group| !group.is_empty()) {
        Some(group) => gid = find_group(group, groups)?,
        // Naming a group leaves out those that the user belongs to otherwise.
        None => {
            if let Some(entry) = entry {
                let mine = groups.iter().filter(|it| it.members.contains(&entry.name));
                supplementary.extend(mine.map(|it| it.gid));
            }
        }
    }
    for name in &spec.additional_groups {
        let gid = find_group(name, groups)?;
        if !supplementary.contains(&gid) {
            supplementary.push(gid);
        }
    }
    Ok(Identity {
        uid,
        gid,
        groups: supplementary,
        home,
    })
}

fn find_group(wanted: &str, groups: &[Group]) -> Result<u32, UserError> {
    let number = parse_number(wanted)?;
    groups
        .iter()
        .find(|it| it.name == wanted || number == Some(it.gid))
        .map(|it| it.gid)
        .or(number)
        .ok_or_else(|| UserError::UnknownGroup(wanted.to_owned()))
}

fn parse_number(text: &str) -> Result<Option<u32>, UserError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(number) if i32::try_from(number).is_ok() => Ok(Some(number)),
        _ => Err(UserError::OutOfRange(text.to_owned())),
    }
}

fn parse_users(lines: Vec<String>) -> Vec<User> {
    lines
        .into_iter()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            let home = fields.nth(1).unwrap_or("/").to_owned();
            Some(User {
                name,
                uid,
                gid,
                home,
            })
        })
        .collect()
}

fn parse_groups(lines: Vec<String>) -> Vec<Group> {
    lines
        .into_iter()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            let gid = fields.nth(1)?.parse().ok()?;
            let members = fields.next().unwrap_or_default();
            let members = members.split(',').map(str::to_owned).collect();
            Some(Group { name, gid, members })
        })
        .collect()
}

/// The lines of a file of the container; none when it is missing or no plain file.
fn read_lines(root: BorrowedFd<'_>, path: &str) -> Result<Vec<String>, UserError> {
    /// More than any real database, and little enough to read.
    const MAX_BYTES: u64 = 16 * 1024 * 1024;

    let file = match in_root::open_readable(root, Path::new(path)) {
        Err(_missing) => return Ok(Vec::new()),
        Ok(fd) => fd,
    };
    if !in_root::status(file.as_fd())?.is_file() {
        return Ok(Vec::new());
    }
    let reader = BufReader::new(io::Read::take(File::from(file), MAX_BYTES));
    let mut lines = Vec::new();
    for line in reader.split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim().to_owned();
        if !line.is_empty() && !line.starts_with('#') {
            lines.push(line);
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n\
                          1234:x:77:78::/numbered:\nbroken\n";
    const GROUP: &str = "root:x:0:root\nwheel:x:10:root,app\napp:x:1001:\nextra:x:50:app\n";

    fn resolved(user: &str, more: &[&str]) -> Result<Identity, UserError> {
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        let spec = UserSpec {
            user: user.to_owned(),
            additional_groups: more.iter().map(ToString::to_string).collect(),
        };
        let (users, groups) = (parse_users(lines(PASSWD)), parse_groups(lines(GROUP)));
        resolve_in(&spec, &users, &groups)
    }

    #[test]
    fn names_and_numbers_as_docker_reads_them() {
        for (user, more, uid, gid, groups, home) in [
            ("", &[][..], 0, 0, &[0, 10][..], "/root"),
            ("app", &[], 1000, 1001, &[10, 50], "/home/app"),
            ("1000", &[], 1000, 1001, &[10, 50], "/home/app"),
            ("app:wheel", &[], 1000, 10, &[], "/home/app"),
            ("app:99", &[], 1000, 99, &[], "/home/app"),
            ("4242", &[], 4242, 0, &[], "/"),
            ("4242:4343", &["wheel", "7"], 4242, 4343, &[10, 7], "/"),
            ("1234", &[], 77, 78, &[], "/numbered"),
            (":wheel", &[], 0, 10, &[], "/root"),
        ] {
            let identity = resolved(user, more).unwrap();
            let found = (
                identity.uid,
                identity.gid,
                &*identity.groups,
                &*identity.home,
            );
            assert_eq!(found, (uid, gid, groups, home), "{user}");
        }
    }

    #[test]
    fn unknown_names_and_numbers_out_of_range_are_refused() {
        for (user, more, text) in [
            (
                "ghost",
                &[][..],
                "unable to find user ghost: no matching entries in passwd file",
            ),
            (
                "app:ghosts",
                &[],
                "unable to find group ghosts: no matching entries in group file",
            ),
            (
                "0",
                &["ghosts"],
                "unable to find group ghosts: no matching entries in group file",
            ),
            (
                "4294967295",
                &[],
                "4294967295: uids and gids must be in range 0-2147483647",
            ),
        ] {
            assert_eq!(resolved(user, more).unwrap_err().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn no_database_panics(text in "[a-z0-9:,\n]{0,200}") {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let (users, groups) = (parse_users(lines.clone()), parse_groups(lines));
            let _identity = resolve_in(&UserSpec::default(), &users, &groups);
        }
    }
}
