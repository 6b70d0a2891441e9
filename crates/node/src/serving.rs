use std::net::TcpListener;
use std::sync::Arc;

use tokio::sync::watch;

use crate::client::{self, Services};
use crate::founding;
use crate::handle::Handle;
use crate::settings::Settings;
use crate::tls::{ClientTls, Current};

/// Where clients are served.
pub(crate) enum Serving {
    /// On the consensus thread.
    Here(tokio::task::JoinHandle<()>),
    /// On threads of its own.
    Elsewhere(Option<tokio::runtime::Runtime>, tokio::task::JoinHandle<()>),
}

impl Serving {
    /// Starts to serve them, until `stopped` says true.
    ///
    /// # Errors
    /// The operating system has no threads left.
    pub(crate) fn start(
        settings: &Settings,
        listener: TcpListener,
        tls: Option<Arc<Current<ClientTls>>>,
        handle: Handle,
        mut stopped: watch::Receiver<bool>,
    ) -> std::io::Result<Self> {
        let (limits, tokens) = (settings.limits.clone(), settings.tokens.clone());
        let needs_users = settings.root_password.is_some();
        let threads = settings.client_threads.max(usize::from(tls.is_some()));
        let serve = async move {
            let listener = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => listener,
                Err(error) => {
                    tracing::error!("cannot serve clients: {error}");
                    return;
                }
            };
            if needs_users {
                // Nobody gets in while everybody could do everything.
                tokio::select! {
                    () = founding::users_count(&handle) => {}
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
            }
            let shutdown = async move {
                // If the sender is gone, so is the node.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let services = Services::new(handle, &limits, &tokens);
            client::serve(listener, tls, services, limits, shutdown).await;
        };
        if threads == 0 {
            return Ok(Self::Here(tokio::spawn(serve)));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(format!("althing-{}-client", settings.name))
            .enable_all()
            .build()?;
        let task = runtime.spawn(serve);
        Ok(Self::Elsewhere(Some(runtime), task))
    }

    /// Waits until the last client is gone.
    pub(crate) async fn ended(mut self) {
        match &mut self {
            Self::Here(task) | Self::Elsewhere(_, task) => {
                // A panic in there has been told on stderr.
                let _ = task.await;
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Self::Elsewhere(runtime, _) = self
            && let Some(runtime) = runtime.take()
        {
            runtime.shutdown_background();
        }
    }
}
