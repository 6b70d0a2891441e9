//! The nodes that a command is about, from its arguments or from a file.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use althing_ring::formats::Server;
use clap::Args;

use crate::failure::{Failure, Kind};

/// Bytes of a file of nodes: room for a million of them.
const FILE_BYTES_MAX: u64 = 64 << 20;

const HINT: &str = "write host:port, host:port=weight or name@host:port=weight, commas between";

/// Where the nodes are named.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct NodeArguments {
    /// The nodes in the order of the configuration, each `[name@]host:port[=weight]`
    #[arg(long, value_name = "NODE,..")]
    nodes: Option<String>,
    /// A file that names them, one a line, for more than fit on a command line
    #[arg(long, value_name = "FILE")]
    nodes_file: Option<PathBuf>,
}

impl NodeArguments {
    /// All nodes, in the order in which they stand there.
    pub(super) fn read(&self) -> Result<Vec<Server>, Failure> {
        match (&self.nodes, &self.nodes_file) {
            (Some(list), _) => list.split(',').map(|text| parse(text, "--nodes")).collect(),
            (None, Some(path)) => {
                let text = read_file(path)?;
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                lines.map(|line| parse(line, &path.display().to_string())).collect()
            }
            (None, None) => unreachable!("clap asks for one of the two"),
        }
    }
}

/// One node; an error names it and where it stood.
pub(super) fn parse(text: &str, source: &str) -> Result<Server, Failure> {
    text.parse().map_err(|cause| {
        let text = crate::output::printable_cut(text.as_bytes(), 60);
        Failure::usage(format!("the node `{text}` in {source} cannot be read"))
            .cause(cause)
            .hint(HINT)
    })
}

fn read_file(path: &Path) -> Result<String, Failure> {
    let cannot = |cause: &dyn std::fmt::Display| {
        Failure::new(Kind::Other, format!("cannot read {}", path.display())).cause(cause)
    };
    let file = File::open(path).map_err(|error| cannot(&error))?;
    let mut text = String::new();
    let mut reader = BufReader::new(file).take(FILE_BYTES_MAX + 1);
    reader.read_to_string(&mut text).map_err(|error| cannot(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(cannot(&format!("it is longer than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Result<Vec<Server>, Failure> {
        NodeArguments { nodes: Some(list.to_owned()), nodes_file: None }.read()
    }

    #[test]
    fn nodes_stand_in_order_with_commas_between() {
        let nodes = read("b:1=2,x@a:1").expect("two nodes");
        assert_eq!(nodes, [Server::new("b:1").weighted(2), Server::new("a:1").named("x")]);
    }

    #[test]
    fn a_wrong_node_is_named() {
        for (list, wrong) in [("", "``"), ("a:1,", "``"), ("a:1=x,b:1", "`a:1=x`")] {
            let failure = read(list).expect_err(list);
            assert!(failure.message.contains(wrong), "{list}: {failure:?}");
            assert_eq!(failure.kind, Kind::Usage);
            assert!(failure.cause.is_some() && failure.hint.is_some());
        }
    }
}
