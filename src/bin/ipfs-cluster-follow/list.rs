//! `list`: what a follower keeps.
use std::path::Path;

use futures::TryStreamExt;
use ipfs_cluster::client::Error;
use ipfs_cluster::cluster::offline::Pages;
use ipfs_cluster::model::Pin;
use ipfs_cluster::task::Fatal;
use ipfs_cluster::wire::rest::GlobalPinInfo;

use crate::exit::Failure;
use crate::ipfs;
use crate::place::Place;
use crate::run::runtime;

/// Prints a line an item: from the running peer, or from the database of one that does not run.
pub fn run(place: &Place) -> Result<(), Failure> {
    match runtime()?.block_on(online(place)) {
        Ok(()) => Ok(()),
        Err(e) if e.is_local() => offline(&place.folder, &mut |pin| {
            println!("{}", line("offline", &pin.cid.to_string(), &pin.name, ""));
        })
        .map_err(|e| Failure::new("listing items", e)),
        Err(e) => Err(Failure::new("listing items", e)),
    }
}

async fn online(place: &Place) -> Result<(), Error> {
    let Some(api) = ipfs::api(place) else {
        return Err(Error::new(0, "the API's address cannot be used"));
    };
    let mut statuses = api.status_all("", true).await?;
    while let Some(status) = statuses.try_next().await? {
        print_status(&status);
    }
    Ok(())
}

fn print_status(info: &GlobalPinInfo) {
    for short in info.peer_map.values() {
        println!("{}", line(&short.status, info.cid.as_deref().unwrap_or_default(), &info.name, &short.error));
    }
}

/// Names and errors come from others: what would move the cursor is shown as it is written.
fn line(status: &str, cid: &str, name: &str, error: &str) -> String {
    let shown = |text: &str| -> String {
        text.chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
            .collect()
    };
    let error = if error.is_empty() { String::new() } else { format!(" ({})", shown(error)) };
    format!("{status:<20} {cid} {}{error}", shown(name))
}

/// Reads the pins of a peer that does not run; one that never ran has none.
fn offline(folder: &Path, each: &mut dyn FnMut(Pin)) -> Result<(), Fatal> {
    let Some(mut pages) = Pages::open(folder)? else { return Ok(()) };
    while let Some(pins) = pages.page()? {
        pins.into_iter().for_each(&mut *each);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_status_cid_name_and_error() {
        assert_eq!(line("pinned", "Qm", "one", ""), "pinned               Qm one");
        assert_eq!(line("pin_error", "Qm", "", "gone"), "pin_error            Qm  (gone)");
        assert_eq!(line("unexpectedly_unpinned", "Qm", "a", ""), "unexpectedly_unpinned Qm a");
        assert_eq!(line("pinned", "Qm", "\u{1b}[2J\n", ""), "pinned               Qm \\u{1b}[2J\\n");
    }
}
