//! `pin`: add, rm, update, ls.
pub mod arguments;
mod bulk;

use std::time::Duration;

use ipfs_cluster::client::{Client, Wait};
use ipfs_cluster::config::GoDuration;
use ipfs_cluster::model::{Cid, PeerId, PinMode, PinOptions, TrackerStatus, UnixMillis};
use ipfs_cluster::task;
use ipfs_cluster::wire::rest::{ContentPath, Pin, parse_cid, parse_peer};

use super::common::{Run, Values};
use super::exit::Failure;
use super::output::Output;
use arguments::{cid, metadata, part};

/// The pause before the status is asked for: by then most pins of little content are done.
const STATUS_PAUSE: Duration = Duration::from_secs(1);
/// Shorter waits are taken for none.
const WAIT_MIN: GoDuration = GoDuration::from_secs(1);

pub async fn add(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let options = options(&run.values)?;
    if run.values.given("from-file").is_some() {
        return bulk::add(client, run, &options, output).await;
    }
    let pin = client.pin(&path(run.arguments.first())?, &options).await?;
    after(client, run, output, &pin, TrackerStatus::Pinned).await
}

pub async fn remove(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let pin = client.unpin(&path(run.arguments.first())?).await?;
    after(client, run, output, &pin, TrackerStatus::Unpinned).await
}

pub async fn update(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let old = run.arguments.first().map_or("", String::as_str);
    let old = parse_cid(old).map_err(|error| Failure::argument("parsing from Cid", &error))?;
    let path = path(run.arguments.get(1))?;
    let options = PinOptions {
        name: run.values.text("name").into(),
        expire_at: expiry(run.values.text("expire-in"))?,
        pin_update: Some(old),
        ..PinOptions::default()
    };
    let pin = client.pin(&path, &options).await?;
    after(client, run, output, &pin, TrackerStatus::Pinned).await
}

pub async fn list(client: &Client, run: &Run, output: &mut Output) -> Result<(), Failure> {
    let part = part(run)?;
    match run.arguments.first() {
        Some(text) => output.show(&client.allocation(cid(text)?).await?),
        None => output.show_all(client.allocations_of(run.values.text("filter"), &part).await?).await,
    }
}

/// Waits if that is wanted; then prints the pin, or how far the peers are with it.
async fn after(
    client: &Client,
    run: &Run,
    output: &mut Output,
    pin: &Pin,
    target: TrackerStatus,
) -> Result<(), Failure> {
    let cid = cid(pin.cid.as_deref().unwrap_or_default())?;
    let status = match wait(&run.values, pin, cid, target) {
        Some(wait) => Some(client.wait_for(wait).await?),
        None => None,
    };
    if run.values.is_on("no-status") {
        return output.show(pin);
    }
    if let Some(status) = status {
        return output.show(&status);
    }
    tokio::time::sleep(STATUS_PAUSE).await;
    output.show(&client.status(cid, false).await?)
}

fn wait(flags: &Values, pin: &Pin, cid: Cid, target: TrackerStatus) -> Option<Wait> {
    let limit = match (flags.number("wait-limit"), target) {
        (0, TrackerStatus::Pinned) => i64::from(pin.replication_factor_min),
        (limit, _) => limit,
    };
    let timeout = Some(flags.duration("wait-timeout")).filter(|timeout| *timeout > WAIT_MIN);
    flags.is_on("wait").then_some(Wait { cid, target, limit, timeout: timeout.and_then(GoDuration::to_std) })
}

fn path(text: Option<&String>) -> Result<ContentPath, Failure> {
    ContentPath::from_user(text.map_or("", String::as_str)).map_err(|error| Failure::argument("", &error))
}

fn options(flags: &Values) -> Result<PinOptions, Failure> {
    let one = flags.number("replication");
    let factor = |name| i32::try_from(if one == 0 { flags.number(name) } else { one });
    let too_large = |_| Failure::argument("parsing replication factors", &"they are too large");
    Ok(PinOptions {
        replication_min: factor("replication-min").map_err(too_large)?,
        replication_max: factor("replication-max").map_err(too_large)?,
        name: flags.text("name").into(),
        mode: if flags.text("mode") == "direct" { PinMode::Direct } else { PinMode::Recursive },
        user_allocations: allocations(flags.text("allocations"))?,
        expire_at: expiry(flags.text("expire-in"))?,
        metadata: metadata(flags.list("metadata"))?,
        ..PinOptions::default()
    })
}

fn allocations(text: &str) -> Result<Vec<PeerId>, Failure> {
    let peers = text.split(',').filter(|peer| !peer.is_empty()).map(|peer| parse_peer(peer.trim()));
    let fault = |_| Failure::argument("decoding allocations", &"some peer IDs could not be decoded");
    peers.collect::<Result<_, _>>().map_err(fault)
}

fn expiry(text: &str) -> Result<Option<UnixMillis>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let after: GoDuration = text.parse().map_err(|error| Failure::argument("parsing expire-in", &error))?;
    // A moment in the past is the server's to refuse.
    let millis = after.0 / 1_000_000;
    Ok(Some(UnixMillis(task::wall().0.saturating_add(millis))))
}
