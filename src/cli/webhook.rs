//! `tidegate webhook sign|verify`: what a receiver's author needs to test against.
//!
//! Owns arguments and output; the signatures are `deliver::sign`'s. Says only whether a webhook is
//! valid, on the exit code: 0 valid, 1 not, 2 usage, 3 a file that cannot be read.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command prints, reads the file it is given and asks the clock what time it is"
)]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::deliver::sign::{self, Secret};
use crate::model::EventTime;

/// Sign the body of a webhook, or check a signature, as a receiver does
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the value of the webhook-signature header
    ///
    /// Example: tidegate webhook sign --secret whsec_… --id msg_1 --timestamp 1768205523 --body body.json
    Sign(Signed),
    /// Check a signature: exit code 0 if it is valid, 1 if it is not
    ///
    /// Example: tidegate webhook verify --secret whsec_… --id msg_1 --timestamp 1768205523
    /// --body body.json --signature 'v1,…'
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
struct Signed {
    /// Secret with or without its prefix (whsec_, whsk_, whpk_); several while secrets rotate
    #[arg(long, required = true)]
    secret: Vec<String>,
    /// Value of the webhook-id header
    #[arg(long)]
    id: String,
    /// Value of the webhook-timestamp header, seconds since 1970
    #[arg(long, allow_negative_numbers = true)]
    timestamp: i64,
    /// File that holds the body, byte for byte; - is standard input
    #[arg(long, value_name = "FILE")]
    body: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Verify {
    #[command(flatten)]
    signed: Signed,
    /// Value of the webhook-signature header
    #[arg(long, allow_hyphen_values = true)]
    signature: String,
    /// Check as if it were this time (RFC 3339, or seconds since 1970); by default now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
}

/// Carries out the command; returns the exit code.
///
/// # Errors
/// None so far: every failure has an exit code of its own.
pub fn run(args: Args) -> anyhow::Result<i32> {
    let (signed, check) = match args.command {
        Command::Sign(signed) => (signed, None),
        Command::Verify(verify) => {
            let Some(now) = verify.at.as_deref().map_or_else(now, seconds) else {
                eprintln!("error: --at is neither an RFC 3339 time nor seconds since 1970");
                return Ok(2);
            };
            (verify.signed, Some((verify.signature, now)))
        }
    };
    let secrets: Result<Vec<Secret>, _> = signed.secret.iter().map(|s| Secret::parse(s)).collect();
    let secrets = match secrets {
        Ok(secrets) => secrets,
        Err(error) => {
            eprintln!("error: {error}");
            return Ok(2);
        }
    };
    let body = match read(&signed.body) {
        Ok(body) => body,
        Err(error) => {
            eprintln!("error: cannot read {}: {error}", signed.body.display());
            return Ok(3);
        }
    };
    match check {
        None => match sign::sign(&secrets, &signed.id, signed.timestamp, &body) {
            Ok(header) => {
                println!("{header}");
                Ok(0)
            }
            Err(error) => {
                eprintln!("error: {error}");
                Ok(2)
            }
        },
        Some((header, now)) => {
            match sign::verify(&secrets, &signed.id, signed.timestamp, &body, &header, now) {
                Ok(()) => {
                    println!("valid");
                    Ok(0)
                }
                Err(error) => {
                    eprintln!("not valid: {error}");
                    Ok(1)
                }
            }
        }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut body = Vec::new();
        std::io::stdin().lock().read_to_end(&mut body)?;
        return Ok(body);
    }
    std::fs::read(path)
}

fn seconds(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse::<i64>()
        .ok()
        .or_else(|| EventTime::parse(text).map(|t| t.0.div_euclid(1000)))
}

fn now() -> Option<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn code(args: &[&str]) -> i32 {
        run(Cli::try_parse_from(std::iter::once(&"webhook").chain(args))
            .unwrap()
            .args)
        .unwrap()
    }

    #[test]
    fn signs_and_verifies_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let body = dir.path().join("body.json");
        std::fs::write(&body, br#"{"test": 2432232314}"#).unwrap();
        let body = body.to_str().unwrap();
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let common = [
            "--secret",
            secret,
            "--id",
            id,
            "--timestamp",
            "1614265330",
            "--body",
            body,
        ];
        let with = |command: &str, more: &[&str]| code(&[&[command], &common[..], more].concat());
        assert_eq!(with("sign", &[]), 0);
        let good = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(
            with("verify", &["--signature", good, "--at", "1614265331"]),
            0
        );
        assert_eq!(
            with(
                "verify",
                &["--signature", good, "--at", "2021-02-25T15:02:10Z"]
            ),
            0
        );
        assert_eq!(
            with("verify", &["--signature", good, "--at", "1614265631"]),
            1
        );
        assert_eq!(with("verify", &["--signature", good]), 1);
        assert_eq!(
            with("verify", &["--signature", "v1,AAAA", "--at", "1614265331"]),
            1
        );
        assert_eq!(with("verify", &["--signature", good, "--at", "soon"]), 2);
        assert_eq!(with("sign", &["--secret", "%%"]), 2);
        let gone = [
            "sign",
            "--secret",
            secret,
            "--id",
            id,
            "--timestamp",
            "1",
            "--body",
            "/nonexistent",
        ];
        assert_eq!(code(&gone), 3);
    }
}
