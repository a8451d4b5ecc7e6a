//! `floodway explain`: why a client gets the answer it gets.

use crate::answer;
use crate::cli::client;
use crate::cli::config::Config;
use crate::cli::load::{self, Loaded};
use crate::exchange::Snapshot;
use crate::telemetry::proto::{ExplainRequest, steering_client::SteeringClient};
use crate::wire::Name;
use crate::zone::rdata;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

/// Tells every step from the name and the client to the answer, by the server's own functions.
///
/// Without --server it loads zones, policies and databases itself and explains the plan that holds
/// before anything is measured; with --server it asks a running one about the plan that holds now.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The name asked for.
    name: String,
    /// The client: an address, or a prefix as in a client subnet option.
    client: ClientText,
    /// The type asked for.
    #[arg(long, short = 't', default_value = "A", value_name = "TYPE")]
    r#type: String,
    /// Ask the running server at this gRPC address; alone: at 127.0.0.1:5301.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:5301")]
    server: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// An address, or a prefix of which the first address counts.
#[derive(Clone, Copy, Debug)]
struct ClientText(IpAddr);

impl FromStr for ClientText {
    type Err = String;

    fn from_str(text: &str) -> Result<ClientText, String> {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| "an address or a prefix such as 203.0.113.0/24 would do")?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        match length.map(str::parse::<u8>) {
            None => Ok(ClientText(address)),
            Some(Ok(length)) if length <= longest => Ok(ClientText(address)),
            Some(_) => Err(format!("a prefix length of 0 to {longest} would do")),
        }
    }
}

/// Runs the command.
pub fn run(args: Args, config: Option<&Path>) -> ExitCode {
    let said = match &args.server {
        Some(server) => ask(&args, server),
        None => Config::read(config).and_then(|config| work_out(&args, &config)),
    };
    match said {
        Ok(text) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{}", e.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn work_out(args: &Args, config: &Config) -> Result<String, String> {
    let name = Name::from_str(&args.name).map_err(|e| format!("{}: {e}", args.name))?;
    let qtype = rdata::parse_type(&args.r#type).ok_or_else(|| format!("{}: not a record type", args.r#type))?;
    let (loaded, report) = load::load(config);
    let Loaded { zones, policies, cells, answers, plan, table, .. } = loaded.ok_or_else(|| report.to_string())?;
    let snapshot = Snapshot::first(1, zones, policies, cells, answers, plan, table);
    let said = answer::explain(&name, args.client.0, qtype, &snapshot);
    if args.json { serde_json::to_string(&said).map_err(|e| e.to_string()) } else { Ok(said.to_string()) }
}

fn ask(args: &Args, server: &str) -> Result<String, String> {
    let request = ExplainRequest {
        name: args.name.clone(),
        client: args.client.0.to_string(),
        r#type: Some(args.r#type.clone()),
    };
    let server = client::Server { addr: server.to_string(), tls_ca: None, tls_cert: None, tls_key: None };
    let said = client::block_on(async {
        let mut steering = SteeringClient::new(server.connect().await?);
        steering.explain(request).await.map_err(|status| client::failed(&status))
    })?;
    let said = said.into_inner();
    Ok(if args.json { said.json } else { said.text })
}
