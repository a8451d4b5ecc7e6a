//! What the process is told: by signals, and by a successor.

use crate::cli::serve::reload::Reloader;
use crate::cli::serve::takeover::{Heirloom, Successor};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why serving ends.
pub(super) enum Told {
    /// SIGTERM or SIGINT.
    Stop,
    /// Another process serves from the same sockets.
    Replaced(Successor),
}

/// The command that started this process, as it was at the start: an upgrade puts another file under the name.
pub(super) struct Program {
    file: PathBuf,
    args: Vec<OsString>,
}

impl Program {
    pub(super) fn of_this_process() -> Option<Program> {
        let args = std::env::args_os().skip(1).filter(|arg| arg != "--takeover").collect();
        std::env::current_exe().ok().map(|file| Program { file, args })
    }

    /// Starts what is there now, with the same arguments, to take over from this process. Its end is logged: a good one
    /// ends after this process, so nobody is left to hear of it.
    fn start_successor(&self) {
        let mut command = Command::new(&self.file);
        // These name this process; the successor is another.
        command.env_remove("WATCHDOG_PID").env_remove("LISTEN_PID").env_remove("LISTEN_FDS");
        let has_command = self.args.iter().any(|arg| arg == "serve");
        command.args(&self.args).args((!has_command).then_some("serve")).arg("--takeover");
        match command.spawn() {
            Ok(mut child) => {
                tracing::info!("started process {} to take over", child.id());
                std::thread::spawn(move || match child.wait() {
                    Ok(status) => {
                        tracing::error!("the process that was to take over ended ({status}); this one goes on")
                    }
                    Err(e) => tracing::error!("the process that was to take over: {e}"),
                });
            }
            Err(e) => tracing::error!("{}: cannot be started to take over: {e}", self.file.display()),
        }
    }
}

/// The signals that the process listens to. Made before anybody is told that it runs: a signal that nobody
/// listens to ends it.
pub(super) struct Signals {
    hup: Signal,
    term: Signal,
    int: Signal,
    usr2: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn listen(runtime: &Runtime) -> Result<Signals, String> {
        let _inside = runtime.enter();
        let on = |kind| signal(kind).map_err(|e| format!("signals: {e}"));
        Ok(Signals {
            hup: on(SignalKind::hangup())?,
            term: on(SignalKind::terminate())?,
            int: on(SignalKind::interrupt())?,
            usr2: on(SignalKind::user_defined2())?,
        })
    }
}

/// Reloads on SIGHUP and starts a successor on SIGUSR2; returns on SIGTERM or SIGINT, or when a successor serves.
pub(super) async fn until_told(
    signals: Signals,
    reloader: &Arc<Reloader>,
    program: Option<&Program>,
    heirloom: Option<&mut Heirloom>,
) -> Told {
    let Signals { mut hup, mut term, mut int, mut usr2 } = signals;
    let claimed = async {
        match heirloom {
            Some(heirloom) => heirloom.claimed().await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(claimed);
    loop {
        tokio::select! {
            _ = hup.recv() => {
                let reloader = reloader.clone();
                tokio::task::spawn_blocking(move || reloader.reload("SIGHUP"));
            }
            _ = usr2.recv() => match program {
                Some(program) => program.start_successor(),
                None => tracing::error!("SIGUSR2: it is not known which file this process was started from"),
            },
            _ = term.recv() => return Told::Stop,
            _ = int.recv() => return Told::Stop,
            successor = &mut claimed => return Told::Replaced(successor),
        }
    }
}
