//! `althing certificate`: what a cluster needs for TLS, without another tool.

mod authority;

use std::path::PathBuf;

use clap::builder::RangedI64ValueParser;
use clap::{Args, Subcommand};
use rustls_pki_types::ServerName;
use serde_json::json;

pub(crate) use self::authority::{Authority, Pair, Subject};
use crate::Outcome;
use crate::failure::Failure;
use crate::output::{Format, print_line};

/// Every certificate of a node is good for these too, so that it can be asked where it runs.
pub(crate) const OWN_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What `althing certificate` can do.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
An authority vouches for the nodes and the clients of a cluster. Make it once, and keep ca.key away
from the nodes: who has it can be anybody. Every node gets ca.crt and its own two files, which it
reads again when they change, so that --replace renews a certificate under it.

Examples:
  althing certificate authority
  althing certificate node n1 --hosts 10.0.0.1,n1.example
  althing certificate client app
  althing --endpoints https://10.0.0.1:2379 --cacert certificates/ca.crt \\
      --cert certificates/app.crt --key certificates/app.key status")]
pub(crate) enum CertificateCommand {
    /// Make the authority of a cluster: ca.crt to trust, ca.key to keep
    #[command(after_help = "Example:\n  althing certificate authority --folder certificates")]
    Authority {
        #[command(flatten)]
        place: Place,
        /// How many days it is good for
        #[arg(long, default_value = "3650", value_parser = days())]
        days: i64,
    },
    /// Make the certificate of a node: NAME.crt and NAME.key
    #[command(after_help = "Example:\n  althing certificate node n1 --hosts 10.0.0.1,n1.example")]
    Node {
        /// The node, which names the files
        #[arg(value_parser = file_name)]
        name: String,
        /// Where it is found: DNS names and IP addresses; localhost is one by itself
        #[arg(long, value_name = "HOST,..", value_delimiter = ',', value_parser = host)]
        hosts: Vec<String>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        validity: Validity,
    },
    /// Make the certificate of a client: NAME.crt and NAME.key
    #[command(after_help = "Example:\n  althing certificate client app --days 30 --replace")]
    Client {
        /// The client, which names the files too
        #[arg(value_parser = file_name)]
        name: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        validity: Validity,
    },
}

/// Where the files are.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// The folder of the authority and of what it vouches for
    #[arg(long, default_value = "certificates")]
    folder: PathBuf,
}

/// How long a certificate is good, and whether it follows another.
#[derive(Args, Debug)]
pub(crate) struct Validity {
    /// How many days it is good for
    #[arg(long, default_value = "365", value_parser = days())]
    days: i64,
    /// Replace the files if they are there
    #[arg(long)]
    replace: bool,
}

/// Makes what was asked for, and says where it is.
pub(crate) fn run(command: &CertificateCommand, format: Format) -> Result<Outcome, Failure> {
    let pair = match command {
        CertificateCommand::Authority { place, days } => {
            let certificate = Authority::make(&place.folder, *days)?.certificate();
            Pair { key: certificate.with_extension("key"), certificate }
        }
        CertificateCommand::Node { name, hosts, place, validity } => {
            let mut hosts = hosts.clone();
            hosts.extend(OWN_HOSTS.map(str::to_owned));
            let subject = Subject::Node { name, hosts: &hosts };
            Authority::open(&place.folder)?.issue(&subject, validity.days, validity.replace)?
        }
        CertificateCommand::Client { name, place, validity } => {
            let subject = Subject::Client { name };
            Authority::open(&place.folder)?.issue(&subject, validity.days, validity.replace)?
        }
    };
    let (certificate, key) = (pair.certificate.display(), pair.key.display());
    match format {
        Format::Json => print_line(json!({
            "certificate": certificate.to_string(),
            "key": key.to_string(),
        }))?,
        Format::Table | Format::Raw => print_line(format!("{certificate}\n{key}"))?,
    }
    Ok(Outcome::Done)
}

fn days() -> RangedI64ValueParser {
    clap::value_parser!(i64).range(1..=36_500)
}

fn host(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    match ServerName::try_from(name) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected a DNS name or an IP address".to_owned()),
    }
}

fn file_name(text: &str) -> Result<String, String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.starts_with('.') || !text.chars().all(is_fine) || text == "ca" {
        return Err("expected a word of letters, digits, `-`, `_` and `.`, and not `ca`".to_owned());
    }
    Ok(text.to_owned())
}
