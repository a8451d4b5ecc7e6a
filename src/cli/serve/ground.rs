//! What a server stands on beside zones and policies, looked at without taking a port: `floodway check` asks here, and
//! each question is the one that a start asks.

use crate::admin;
use crate::cli::config::Config;
use crate::cli::house::problem;
use crate::cli::serve::{log, privileges};
use crate::masterfile::{Report, Severity};
use crate::telemetry::{listen, tls::Tls};
use crate::transport::Certificate;
use std::path::Path;

/// Puts everything into the report for which `serve` would not start: log filter, certificates and keys, listeners that
/// others could reach, the user to become. What only the machine at hand can tell, such as a taken port, is not looked at.
pub fn check(config: &Config, report: &mut Report) {
    let wrong = [
        log::filter(config).err(),
        privileges::look_up(&config.server).err(),
        config.tls.clone().and_then(|files| Certificate::read(files).err()).map(|e| e.to_string()),
        config.grpc.tls.clone().and_then(|files| Tls::read(files).err()).map(|e| e.to_string()),
        listen::guard(config.listen.grpc, &config.grpc).err().map(|e| e.to_string()),
        admin::http::guard(config.listen.admin, config.admin.allow_remote).err().map(|e| e.to_string()),
    ];
    let file = config.file.as_deref().unwrap_or(Path::new("floodway.toml"));
    wrong.into_iter().flatten().for_each(|why| report.push(problem(file, Severity::Error, why)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_start_does_not_check() {
        let check = |toml: &str, expected: &str| {
            let mut report = Report::default();
            super::check(&Config::parse(toml, "x").unwrap(), &mut report);
            let said = report.to_string();
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{toml}: {said}");
        };
        check("", "");
        check("[log]\nfilter = \"inof\"", "[log] filter = \"inof\"");
        check("[server]\nuser = \"no-such-user\"", "there is no such user");
        check("[tls]\ncert = \"/nowhere/c.pem\"\nkey = \"/nowhere/k.pem\"", "/nowhere/c.pem");
        let grpc = "[grpc.tls]\ncert = \"/nowhere/c.pem\"\nkey = \"/nowhere/k.pem\"\nclient-ca = \"/nowhere/a.pem\"";
        check(grpc, "[grpc.tls] /nowhere/c.pem");
        check("[listen]\ngrpc = \"192.0.2.1:5301\"", "gRPC on 192.0.2.1:5301 can be reached from elsewhere");
        check("[listen]\nadmin = \"[::]:5302\"", "admin HTTP on [::]:5302 can be reached from elsewhere");
        check("[listen]\nadmin = \"[::]:5302\"\n[admin]\nallow-remote = true", "");
    }
}
