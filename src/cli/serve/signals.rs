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

/// What a running server is asked to do: SIGHUP and SIGUSR2. Listened to before the load, since a signal that nobody
/// listens to ends the process; what comes meanwhile is done after it.
pub(super) struct Asked {
    hup: Signal,
    usr2: Signal,
}

/// What ends it well: SIGTERM and SIGINT. Listened to once there is something to end, from before the first answer on:
/// during the load they end the process at once, as they should.
pub(super) struct Ends {
    term: Signal,
    int: Signal,
}

impl Asked {
    /// Listens from now on.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn listen(runtime: &Runtime) -> Result<Asked, String> {
        Ok(Asked { hup: on(runtime, SignalKind::hangup())?, usr2: on(runtime, SignalKind::user_defined2())? })
    }
}

impl Ends {
    /// Listens from now on.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn listen(runtime: &Runtime) -> Result<Ends, String> {
        Ok(Ends { term: on(runtime, SignalKind::terminate())?, int: on(runtime, SignalKind::interrupt())? })
    }
}

fn on(runtime: &Runtime, kind: SignalKind) -> Result<Signal, String> {
    let _inside = runtime.enter();
    signal(kind).map_err(|e| format!("signals: {e}"))
}

/// Reloads on SIGHUP and starts a successor on SIGUSR2; returns on SIGTERM or SIGINT, or when a successor serves.
pub(super) async fn until_told(
    asked: Asked,
    ends: Ends,
    reloader: &Arc<Reloader>,
    program: Option<&Program>,
    heirloom: Option<&mut Heirloom>,
) -> Told {
    let (Asked { mut hup, mut usr2 }, Ends { mut term, mut int }) = (asked, ends);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A SIGHUP that comes during the load neither ends the process nor is lost.
    #[test]
    fn a_signal_during_the_load_waits() {
        let runtime = Runtime::new().unwrap();
        let mut asked = Asked::listen(&runtime).unwrap();
        let kill = format!("kill -HUP {0} && kill -USR2 {0}", std::process::id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        runtime.block_on(async {
            let both = async { (asked.hup.recv().await, asked.usr2.recv().await) };
            tokio::time::timeout(Duration::from_secs(60), both).await.expect("the signals were lost");
        });
    }
}
