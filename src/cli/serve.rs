//! `sisa serve` and `sisa key`: the service's own room does the work.
#![expect(clippy::print_stdout, reason = "the command line prints")]

use std::io::Write;

use clap::{Args as ClapArgs, Subcommand};
use sisa::engine::DeleteRequest;
use sisa::wire;

use super::{exit::Exit, session::Session};
use crate::serve::{Act, Audit, KeyError, Keys, Role, ServeError, against, serve};

#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    /// The address to listen on; port 0 takes one that is free [default: `listen` under [serve] in sisa.toml, or 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key and print it, the only time that it is seen
    Add {
        /// What the key is called: lower-case letters, digits and `-`
        #[arg(value_name = "NAME")]
        name: String,
        /// What it may be used for: predict, delete, audit, admin; several separated by commas
        #[arg(long, value_name = "ROLE", required = true, value_delimiter = ',')]
        role: Vec<Role>,
    },
    /// Take a key back, at once
    Revoke {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List the keys that were made, without what is secret
    List,
}

impl Session {
    pub(super) fn serve(self, args: &ServeArgs) -> anyhow::Result<Exit> {
        let mut config = self.engine.serve_config()?;
        if let Some(listen) = &args.listen {
            config.listen.clone_from(listen);
        }
        let (json, quiet) = (self.json, self.quiet);
        let served = serve(self.engine, config, |listening| {
            let keys =
                if listening.keys { "a key is needed" } else { "no key is needed on this machine, and no other can connect" };
            if json {
                print!("{}", wire::line(listening));
            } else if !quiet {
                println!("serving at {} ({keys})", listening.address);
            }
            let _ = std::io::stdout().flush();
        });
        match served {
            // What can be done about it is known.
            Err(ServeError::Engine(e) | ServeError::Keys(KeyError::Engine(e))) => Err(e.into()),
            served => Ok(served.map(|()| Exit::Done)?),
        }
    }

    /// Refuses a deletion that a legal hold of the service stands against, unless that is what is wanted; then it is written down.
    pub(super) fn not_held(&self, request: &DeleteRequest, despite: bool) -> anyhow::Result<()> {
        let Some((hold, any)) = against(&self.engine, request)? else { return Ok(()) };
        if despite {
            let act = Act { who: "operator".into(), what: "despite_hold".into(), about: Some(hold), result: "done".into() };
            Audit::default().write(&self.engine, act)?;
            return Ok(());
        }
        let whose = if any { ", and a record does not say whose it is" } else { "" };
        anyhow::bail!(
            "the legal hold `{hold}` stands against it{whose}; nothing was deleted. An admin ends it by `DELETE /v1/holds/{hold}` of the service; \
             `--despite-holds` deletes all the same, and the audit log says so"
        )
    }

    pub(super) fn key(&self, command: &KeyCommand) -> anyhow::Result<Exit> {
        let keys = Keys(&self.engine);
        let told = |what: &str, key: wire::Key| -> anyhow::Result<wire::Key> {
            let act = Act { who: "operator".into(), what: what.into(), about: Some(key.name.clone()), result: "done".into() };
            Audit::default().write(&self.engine, act)?;
            Ok(key)
        };
        match command {
            KeyCommand::Add { name, role } => {
                let key = told("key_add", keys.add(name, role)?)?;
                let secret = key.key.clone().unwrap_or_default();
                self.result(|| format!("{secret}\n"), || key.clone())
            }
            KeyCommand::Revoke { name } => {
                let key = told("key_revoke", keys.revoke(name)?)?;
                self.summary(|| format!("{name} is refused from now on\n"), || key.clone())
            }
            KeyCommand::List => {
                let keys = keys.list()?;
                if self.json {
                    return self.lines(keys);
                }
                let line = |key: &wire::Key| {
                    let state = key.revoked_at.as_ref().map_or(String::new(), |at| format!("  revoked {at}"));
                    format!("{:<32}  {:<28}  {}{state}\n", key.name, key.roles.join(","), key.added_at)
                };
                self.text(&keys.iter().map(line).collect::<String>())
            }
        }
    }
}
