use std::fs;
use std::os::unix::fs::PermissionsExt;

use redb::TableDefinition;
use redb::backends::InMemoryBackend;

use super::super::tables::FORMAT;
use super::*;

type Rowlist = Vec<(Vec<u8>, Vec<u8>)>;

fn memory() -> PinsetDb {
    PinsetDb::with_backend(Path::new("memory"), InMemoryBackend::new(), Options::default()).unwrap()
}

fn put(db: &PinsetDb, key: &[u8], value: &[u8]) {
    db.write::<_, RowsError>(|rows| rows.put(Table::Pins, key, value)).unwrap();
}

fn get_one(db: &PinsetDb, key: &[u8]) -> Option<Vec<u8>> {
    db.read::<_, RowsError>(|rows| rows.get(Table::Pins, key)).unwrap()
}

fn keys(rows: &dyn ReadRows, range: Range<&[u8]>, back: bool, limit: usize) -> Rowlist {
    let mut found = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    if back { rows.scan_back(Table::Pins, range, &mut visit) } else { rows.scan(Table::Pins, range, &mut visit) }
        .unwrap();
    found
}

fn raw(dir: &Path, work: impl FnOnce(&WriteTransaction)) {
    let db = Database::create(dir.join(PINSET_FILE)).unwrap();
    let write = db.begin_write().unwrap();
    work(&write);
    write.commit().unwrap();
}

#[test]
fn rows_are_there_after_the_database_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = PinsetDb::open(dir.path(), Options::default()).unwrap();
    put(&db, b"key", b"value");
    drop(db);
    let db = PinsetDb::open(dir.path(), Options::default()).unwrap();
    assert_eq!(get_one(&db, b"key").as_deref(), Some(&b"value"[..]));
    assert_eq!(get_one(&db, b"ke"), None);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left of the making");
}

#[test]
fn the_file_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let db = PinsetDb::open(dir.path(), Options::default()).unwrap();
    assert_eq!(fs::metadata(db.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_a_failed_work_did_is_undone() {
    let db = memory();
    put(&db, b"a", b"1");
    let failed = db.write(|rows| {
        rows.put(Table::Pins, b"a", b"2")?;
        rows.remove(Table::Pins, b"a")?;
        rows.put(Table::Meta, b"b", b"2")?;
        Err::<(), _>(RowsError::Damaged { table: Table::Meta, what: "as asked" })
    });
    assert!(matches!(failed, Err(RowsError::Damaged { .. })));
    assert_eq!(get_one(&db, b"a").as_deref(), Some(&b"1"[..]));
    assert_eq!(db.read::<_, RowsError>(|rows| rows.get(Table::Meta, b"b")).unwrap(), None);
}

#[test]
fn a_write_sees_its_own_rows_and_a_reader_the_last_commit() {
    let db = memory();
    db.write::<_, RowsError>(|rows| {
        rows.put(Table::Pins, b"a", b"1")?;
        assert_eq!(rows.get(Table::Pins, b"a")?.as_deref(), Some(&b"1"[..]));
        assert_eq!(get_one(&db, b"a"), None);
        Ok(())
    })
    .unwrap();
    assert_eq!(get_one(&db, b"a").as_deref(), Some(&b"1"[..]));
}

#[test]
fn scans_go_both_ways_within_their_range_and_end_when_told() {
    let db = memory();
    for key in [b"a", b"b", b"c", b"d"] {
        put(&db, key, b"");
    }
    let row = |key: &[u8]| (key.to_vec(), Vec::new());
    let check = |rows: &dyn ReadRows| {
        assert_eq!(keys(rows, b"b"..b"d", false, 9), [row(b"b"), row(b"c")]);
        assert_eq!(keys(rows, b"b"..b"d", true, 9), [row(b"c"), row(b"b")]);
        assert_eq!(keys(rows, b"c"..b"", false, 9), [row(b"c"), row(b"d")]);
        assert_eq!(keys(rows, b""..b"", true, 2), [row(b"d"), row(b"c")]);
        assert_eq!(keys(rows, b"d"..b"b", false, 9), []);
        assert_eq!(keys(rows, b"b"..b"b", true, 9), []);
        Ok(())
    };
    db.read::<_, RowsError>(|rows| check(rows)).unwrap();
    db.write::<_, RowsError>(|rows| check(rows)).unwrap();
}

#[test]
fn a_second_opener_is_told_who_is_in_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let _db = PinsetDb::open(dir.path(), Options::default()).unwrap();
    let error = PinsetDb::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("pinset.redb is in use by another process: stop that one"), "{error}");
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    drop(PinsetDb::open(dir.path(), Options::default()).unwrap());
    raw(dir.path(), |write| {
        write.open_table(FORMAT).unwrap().insert("version", 7).unwrap();
    });
    let error = PinsetDb::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 7, known: 1, .. }), "{error}");
}

#[test]
fn other_programs_files_are_left_as_they_are() {
    for content in ["", "redb", "not a database, but a text that somebody wants to keep"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(PINSET_FILE);
        fs::write(&path, content).unwrap();
        let error = PinsetDb::open(dir.path(), Options::default()).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    let dir = tempfile::tempdir().unwrap();
    raw(dir.path(), |write| drop(write.open_table(TableDefinition::<&str, &str>::new("theirs")).unwrap()));
    let error = PinsetDb::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
}

#[test]
fn a_cut_while_the_file_was_made_is_made_good_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pinset.redb.new"), vec![0; 10_000]).unwrap();
    put(&PinsetDb::open(dir.path(), Options::default()).unwrap(), b"a", b"1");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let error = PinsetDb::open(Path::new("/nonexistent/dir"), Options::default()).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/dir/pinset.redb: No such file"), "{error}");
}

/// Any byte of the file may be wrong: what reads is right or an error that names the file, and no panic gets out.
#[test]
fn damage_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let db = PinsetDb::open(dir.path(), Options::default()).unwrap();
    for n in 0..200_u32 {
        put(&db, &n.to_be_bytes(), &[7; 300]);
    }
    let path = db.path().to_path_buf();
    drop(db);
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for n in 0..120 {
        let mut bytes = whole.clone();
        let page = (n * 4096) % bytes.len();
        let end = (page + 4096).min(bytes.len());
        bytes[page..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(&path, &bytes).unwrap();
        let opened = PinsetDb::open(dir.path(), Options::default());
        let read = opened.and_then(|db| {
            let read = db.read::<_, RowsError>(|rows| keys_checked(rows));
            read.map_err(|error| match error {
                RowsError::Storage(cause) => *cause.downcast::<StoreError>().unwrap(),
                RowsError::Damaged { .. } => unreachable!("no engine here"),
            })
        });
        if let Err(error) = read {
            refused += 1;
            assert!(error.to_string().contains("pinset.redb"), "{error}");
        }
    }
    assert!(refused > 0);
}

fn keys_checked(rows: &dyn ReadRows) -> Result<usize, RowsError> {
    let mut count = 0;
    rows.scan(Table::Pins, &[]..&[], &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

#[test]
fn a_file_gives_back_what_its_rows_do_not_need() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = PinsetDb::open(dir.path(), Options::default()).unwrap();
    let keys = || (0..20_000_u32).map(u32::to_be_bytes);
    db.write::<_, RowsError>(|rows| keys().try_for_each(|key| rows.put(Table::Pins, &key, &[7; 200]))).unwrap();
    db.write::<_, RowsError>(|rows| keys().try_for_each(|key| rows.remove(Table::Pins, &key))).unwrap();
    put(&db, b"left", b"alone");
    let size = || fs::metadata(dir.path().join(PINSET_FILE)).unwrap().len();
    let before = size();
    db.compact().unwrap();
    assert!(size() < before / 2, "{} of {before}", size());
    assert_eq!(get_one(&db, b"left").as_deref(), Some(&b"alone"[..]));
}
