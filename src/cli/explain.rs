//! `floodway explain`: why a client gets the answer it gets.

use crate::answer;
use crate::cli::config::Config;
use crate::cli::load::{self, Loaded};
use crate::cli::{self, client};
use crate::exchange::Snapshot;
use crate::telemetry::proto::{ExplainPopRequest, ExplainRequest, steering_client::SteeringClient};
use crate::wire::Name;
use crate::zone::rdata;
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

/// Tells every step from the name and the client to the answer, by the server's own functions; of a POP, why it stands as it does.
///
/// Without --server it loads zones, policies and databases itself and explains the plan that holds
/// before anything is measured; with --server it asks a running one about the plan that holds now, and about overrides and
/// announced events. `floodway explain fra.pop`, without a client, asks a running server about a POP.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The name asked for, or a POP.
    name: String,
    /// The client: an address, or a prefix as in a client subnet option. Without one the name is a POP's.
    client: Option<ClientText>,
    /// The type asked for.
    #[arg(long, short = 't', default_value = "A", value_name = "TYPE")]
    r#type: String,
    #[command(flatten)]
    server: client::Server,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// An address, or a prefix, whose first address stands for all of it.
#[derive(Clone, Copy, Debug)]
struct ClientText(IpAddr);

impl FromStr for ClientText {
    type Err = String;

    fn from_str(text: &str) -> Result<ClientText, String> {
        if let Ok(address) = text.parse() {
            return Ok(ClientText(address));
        }
        let net: IpNet = text.parse().map_err(|_| "an address or a prefix such as 203.0.113.0/24 would do")?;
        match net.prefix_len() {
            0 => {
                Err("a prefix of length 0 says nothing of the client; the resolver's address then counts: give that"
                    .into())
            }
            _ => Ok(ClientText(net.network())),
        }
    }
}

/// Runs the command.
pub fn run(args: Args, config: Option<&Path>) -> ExitCode {
    let said = match (args.client, args.server.is_asked()) {
        (None, _) => ask_of_pop(&args, config),
        (Some(client), true) => ask(&args, client, config),
        (Some(client), false) => Config::read(config).and_then(|config| work_out(&args, client, &config)),
    };
    cli::end(said.and_then(|text| cli::print(&text)))
}

fn work_out(args: &Args, client: ClientText, config: &Config) -> Result<String, String> {
    let name = Name::from_str(&args.name).map_err(|e| format!("{}: {e}", args.name))?;
    let qtype = rdata::parse_type(&args.r#type).ok_or_else(|| format!("{}: not a record type", args.r#type))?;
    let (loaded, report) = load::load(config);
    let loaded = loaded.ok_or_else(|| report.to_string())?;
    let (plan, table) = loaded.declared();
    let Loaded { zones, policies, cells, answers } = loaded;
    let snapshot = Snapshot::first(1, zones, policies, cells, answers, plan, table);
    let said = answer::explain(&name, client.0, qtype, &snapshot);
    if args.json { serde_json::to_string(&said).map_err(|e| e.to_string()) } else { Ok(said.to_string()) }
}

fn ask(args: &Args, client: ClientText, config: Option<&Path>) -> Result<String, String> {
    let request =
        ExplainRequest { name: args.name.clone(), client: client.0.to_string(), r#type: Some(args.r#type.clone()) };
    let said = client::block_on(async {
        let mut steering = SteeringClient::new(args.server.connect(config).await?);
        steering.explain(request).await.map_err(|status| client::failed(&status))
    })?;
    let said = said.into_inner();
    Ok(if args.json { said.json } else { said.text })
}

fn ask_of_pop(args: &Args, config: Option<&Path>) -> Result<String, String> {
    let request = ExplainPopRequest { pop: args.name.clone() };
    let said = client::block_on(async {
        let mut steering = SteeringClient::new(args.server.connect(config).await?);
        steering.explain_pop(request).await.map_err(|status| client::failed(&status))
    })?;
    let said = said.into_inner();
    Ok(if args.json { said.json } else { said.text })
}
