//! Who the user of a command is to the cluster: a name, a password that never stands on the command
//! line, and the token that it was exchanged for.

use std::fmt;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use althing_etcd_api::etcdserverpb::AuthenticateRequest;
use althing_etcd_api::etcdserverpb::auth_client::AuthClient;
use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Code, Request, Status, transport};
use zeroize::Zeroizing;

use crate::client::{Address, Effect, judge};
use crate::failure::{Failure, Kind};

/// As whom to ask.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct UserArguments {
    /// Ask as this user; its password is in ALTHING_PASSWORD or --password-file, or asked for
    /// [env: ALTHING_USER, else ETCDCTL_USER]
    #[arg(
        id = "global-user",
        long = "user",
        global = true,
        value_name = "NAME",
        help_heading = "Global options"
    )]
    user: Option<String>,
    /// The file whose first line is the password of --user
    #[arg(
        id = "global-password-file",
        long = "password-file",
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    password_file: Option<PathBuf>,
}

/// A user's name and password, and the token they were exchanged for. A clone shares the token.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    user: Option<Arc<(String, Zeroizing<String>)>>,
    token: Arc<Mutex<Option<MetadataValue<Ascii>>>>,
}

impl Credentials {
    /// Those of the arguments and the environment; none where neither names a user.
    pub(crate) fn find(arguments: &UserArguments) -> Result<Self, Failure> {
        if arguments.user.as_ref().is_some_and(|user| user.contains(':')) {
            return Err(Failure::usage("--user takes a name without a password")
                .cause("whatever stands on the command line is shown to everybody on this machine")
                .hint("put the password into ALTHING_PASSWORD or --password-file FILE"));
        }
        let said = arguments.user.clone().or_else(|| variable("USER"));
        let Some(said) = said else { return Ok(Self::default()) };
        // In etcdctl's variable the password may follow the name.
        let (name, following) = match said.split_once(':') {
            Some((name, password)) => (name.to_owned(), Some(password.to_owned())),
            None => (said, None),
        };
        let password = match &arguments.password_file {
            Some(path) => Some(first_line(path)?),
            None => following.or_else(|| variable("PASSWORD")).map(Zeroizing::new),
        };
        let password = match password {
            Some(password) => password,
            None => ask(&format!("Password of {name}: "), "ALTHING_PASSWORD or --password-file")?,
        };
        Ok(Self { user: Some(Arc::new((name, password))), token: Arc::default() })
    }

    /// Exchanges the password for a token, unless that was done already or nobody is named.
    pub(crate) async fn sign_in(
        &self,
        channel: &transport::Channel,
        address: &Address,
    ) -> Result<(), Failure> {
        let Some(user) = &self.user else { return Ok(()) };
        if self.token().is_some() {
            return Ok(());
        }
        let (name, password) = (user.0.clone(), user.1.to_string());
        let request = AuthenticateRequest { name, password };
        match AuthClient::new(channel.clone()).authenticate(request).await {
            Ok(answer) => {
                let token = answer.into_inner().token.parse().map_err(|_| {
                    Failure::new(Kind::Other, format!("the token that {address} gives is no text"))
                })?;
                *self.slot() = Some(token);
                Ok(())
            }
            // Where users don't count, everybody may ask.
            Err(status) if is_not_enabled(&status) => Ok(()),
            Err(status) => Err(judge(&status, address, Effect::Read).0),
        }
    }

    /// Signs in anew the next time.
    pub(crate) fn forget(&self) {
        *self.slot() = None;
    }

    /// Whether the next sign-in could bring another token.
    pub(crate) fn can_sign_in(&self) -> bool {
        self.user.is_some()
    }

    fn token(&self) -> Option<MetadataValue<Ascii>> {
        self.slot().clone()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<MetadataValue<Ascii>>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every request carries the token.
impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = self.token() {
            request.metadata_mut().insert("token", token);
        }
        Ok(request)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.user.as_ref().map(|user| &user.0);
        f.debug_struct("Credentials").field("user", &name).finish_non_exhaustive()
    }
}

fn is_not_enabled(status: &Status) -> bool {
    status.code() == Code::FailedPrecondition
        && status.message().contains("authentication is not enabled")
}

fn variable(name: &str) -> Option<String> {
    let find = |prefix| std::env::var(format!("{prefix}_{name}")).ok().filter(|it| !it.is_empty());
    find("ALTHING").or_else(|| find("ETCDCTL"))
}

/// The first line of a file; of the standard input if the file is called `-`.
pub(crate) fn first_line(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        false => std::fs::File::open(path)
            .and_then(|mut file| file.read_to_string(&mut text))
            .map(|_| ()),
    };
    read.map_err(|error| {
        Failure::usage(format!("cannot read the password in {}", path.display())).cause(error)
    })?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// Asks whoever sits at the terminal; where nobody does, says what else to do.
pub(crate) fn ask(question: &str, instead: &str) -> Result<Zeroizing<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        let cause = "there is no terminal on which to ask for it";
        return Err(Failure::usage("a password is missing")
            .cause(cause)
            .hint(format!("name it in {instead}")));
    }
    let typed = rpassword::prompt_password(question);
    let unreadable = |error| Failure::new(Kind::Other, "cannot read the password").cause(error);
    typed.map(Zeroizing::new).map_err(unreadable)
}
