//! What a file is, in the words of Go's `os.FileMode`.

use crate::engine::PathStat;
use crate::http::wire;

/// File type bits of `st_mode`, inode(7).
const S_IFMT: u32 = 0o170_000;

pub(crate) fn path_stat_to_wire(stat: PathStat) -> wire::PathStat {
    wire::PathStat {
        name: stat.name,
        size: stat.size_bytes,
        mode: go_mode(stat.mode),
        mtime: stat.modified_at.to_string(),
        link_target: stat.link_target,
    }
}

/// Permissions stay; type and special bits have places of their own in Go.
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & S_IFMT {
        0o040_000 => 1 << 31,               // directory
        0o120_000 => 1 << 27,               // symbolic link
        0o060_000 => 1 << 26,               // block device
        0o010_000 => 1 << 25,               // fifo
        0o140_000 => 1 << 24,               // socket
        0o020_000 => (1 << 26) | (1 << 21), // character device
        _ => 0,
    };
    let special = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let special = special
        .into_iter()
        .filter(|(bit, _)| mode & bit != 0)
        .fold(0, |bits, (_, go)| bits | go);
    kind | special | (mode & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        let cases = [
            (0o100_644, 0o644),
            (0o040_755, 0x8000_0000 | 0o755),
            (0o041_777, 0x8010_0000 | 0o777),
            (0o120_777, 0x0800_0000 | 0o777),
            (0o104_755, 0x0080_0000 | 0o755),
            (0o102_755, 0x0040_0000 | 0o755),
            (0o020_666, 0x0420_0000 | 0o666),
            (0o060_660, 0x0400_0000 | 0o660),
        ];
        for (mode, expected) in cases {
            assert_eq!(go_mode(mode), expected, "{mode:o}");
        }
    }
}
