//! What people install: an archive and a Debian package with the program, its manual, completions,
//! unit, alerts and dashboard.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::command::{cargo, succeeds, target};

/// The version of what is packed: the workspace's.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// After the package was unpacked: who runs the node. Installing it starts nothing.
const POSTINST: &str = "\
#!/bin/sh
set -e
if ! getent passwd althing > /dev/null; then
    useradd --system --user-group --home-dir /var/lib/althing --shell /usr/sbin/nologin althing
fi
install -d -m 0700 -o althing -g althing /var/lib/althing
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
fi
";

/// Before the package is removed.
const PRERM: &str = "\
#!/bin/sh
set -e
if [ -d /run/systemd/system ] && [ \"$1\" = remove ]; then
    systemctl disable --now althing.service || true
fi
";

/// Builds the program and packs it; both files lie in `dist` beside what cargo builds.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let mut build = cargo(root, &["build", "--release", "--locked", "--package", "althing-cli"]);
    if !succeeds(&mut build)? {
        return Ok(false);
    }
    let dist = target(root).join("dist");
    for made in pack(root, &target(root).join("release/althing"), &dist)? {
        println!("{}", made.display());
    }
    Ok(true)
}

/// Packs `program` into an archive and, where Debian's tools are, a package.
fn pack(root: &Path, program: &Path, dist: &Path) -> Result<Vec<PathBuf>> {
    if dist.exists() {
        fs::remove_dir_all(dist).context("cannot remove what was packed before")?;
    }
    let tree = dist.join("tree");
    lay_out(root, program, &tree)?;
    let mut made = vec![archive(&tree, dist)?];
    if crate::command::find("dpkg-deb").is_some() {
        made.push(package(&tree, dist)?);
    } else {
        println!("no Debian package: dpkg-deb is not installed");
    }
    fs::remove_dir_all(&tree).context("cannot remove what was laid out")?;
    Ok(made)
}

/// Puts every file where it belongs below the root of a system.
fn lay_out(root: &Path, program: &Path, tree: &Path) -> Result<()> {
    copy(program, &tree.join("usr/bin/althing"), 0o755)?;
    let ops = root.join("ops");
    for (from, to) in [
        (ops.join("althing.service"), "usr/lib/systemd/system/althing.service"),
        (ops.join("althing.toml"), "etc/althing/althing.toml"),
        (ops.join("alerts.yml"), "usr/share/althing/alerts.yml"),
        (ops.join("grafana.json"), "usr/share/althing/grafana.json"),
        (root.join("README.md"), "usr/share/doc/althing/README.md"),
        (root.join("README.zh-CN.md"), "usr/share/doc/althing/README.zh-CN.md"),
        (root.join("CHANGELOG.md"), "usr/share/doc/althing/CHANGELOG.md"),
        (root.join("LICENSE-APACHE"), "usr/share/doc/althing/LICENSE-APACHE"),
        (root.join("LICENSE-MIT"), "usr/share/doc/althing/LICENSE-MIT"),
    ] {
        copy(&from, &tree.join(to), 0o644)?;
    }
    let manual = tree.join("usr/share/man/man1");
    fs::create_dir_all(&manual)?;
    ensure!(succeeds(Command::new(program).arg("manual").arg(&manual))?, "no manual was written");
    for (shell, to) in [
        ("bash", "usr/share/bash-completion/completions/althing"),
        ("zsh", "usr/share/zsh/vendor-completions/_althing"),
        ("fish", "usr/share/fish/vendor_completions.d/althing.fish"),
    ] {
        let output = Command::new(program).args(["completions", shell]).output()?;
        ensure!(output.status.success(), "no completions for {shell}");
        write(&tree.join(to), &output.stdout, 0o644)?;
    }
    Ok(())
}

fn archive(tree: &Path, dist: &Path) -> Result<PathBuf> {
    let file = dist.join(format!("althing-{VERSION}-{}.tar.gz", std::env::consts::ARCH));
    let mut tar = Command::new("tar");
    tar.args(["--create", "--gzip", "--owner=0", "--group=0", "--sort=name", "--file"]);
    ensure!(succeeds(tar.arg(&file).arg("--directory").arg(tree).arg("."))?, "tar failed");
    Ok(file)
}

fn package(tree: &Path, dist: &Path) -> Result<PathBuf> {
    let output = Command::new("dpkg").arg("--print-architecture").output()?;
    let architecture = String::from_utf8(output.stdout)?.trim().to_owned();
    let control = format!(
        "Package: althing\nVersion: {VERSION}\nArchitecture: {architecture}\n\
         Maintainer: The Althing developers <althing@localhost>\n\
         Section: database\nPriority: optional\nDepends: libc6, libgcc-s1, passwd\n\
         Description: replicated store with the API of etcd\n \
         A store of keys with watches, leases, locks and elections, replicated by Raft,\n \
         for the clients of etcd v3.\n"
    );
    let about = tree.join("DEBIAN");
    write(&about.join("control"), control.as_bytes(), 0o644)?;
    write(&about.join("conffiles"), b"/etc/althing/althing.toml\n", 0o644)?;
    write(&about.join("postinst"), POSTINST.as_bytes(), 0o755)?;
    write(&about.join("prerm"), PRERM.as_bytes(), 0o755)?;
    let file = dist.join(format!("althing_{VERSION}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "--build"]).arg(tree).arg(&file).stdout(Stdio::null());
    ensure!(succeeds(&mut build)?, "dpkg-deb failed");
    Ok(file)
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write(to, &bytes, mode)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that stands in for the real one: here it is about where things are put.
    const PROGRAM: &str = "#!/bin/sh\nif [ \"$1\" = manual ]; then echo page > \"$2/althing.1\"\n\
                           else echo \"completions for $2\"; fi\n";

    #[test]
    fn the_archive_and_the_package_hold_what_a_node_needs() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the checkout");
        let name = format!("althing-dist-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let program = folder.join("althing");
        write(&program, PROGRAM.as_bytes(), 0o755).expect("writable");
        let made = pack(root, &program, &folder.join("dist")).expect("it packs");
        let list = |file: &Path| {
            let mut command = match file.extension().and_then(|it| it.to_str()) {
                Some("deb") => Command::new("dpkg-deb"),
                _ => Command::new("tar"),
            };
            let flag = if command.get_program() == "tar" { "-tzf" } else { "--contents" };
            let output = command.arg(flag).arg(file).output().expect("it lists");
            String::from_utf8(output.stdout).expect("names are text")
        };
        for file in &made {
            let contents = list(file);
            for expected in [
                "./usr/bin/althing",
                "./usr/lib/systemd/system/althing.service",
                "./etc/althing/althing.toml",
                "./usr/share/man/man1/althing.1",
                "./usr/share/zsh/vendor-completions/_althing",
                "./usr/share/althing/alerts.yml",
            ] {
                assert!(contents.contains(expected), "{}: {contents}", file.display());
            }
        }
        fs::remove_dir_all(folder).expect("it is ours");
    }
}
