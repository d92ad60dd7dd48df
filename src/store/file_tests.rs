use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::SystemTime;

use super::*;

const NAME: &str = "00ff00000000000000000000000000000000aa00";

struct Scene {
    place: tempfile::TempDir,
    store: FileStore,
}

impl Scene {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let store = FileStore::new(Some(&place.path().join("deep/tokens")), &Variables::default());
        Self { place, store }
    }

    fn directory(&self) -> PathBuf {
        self.place.path().join("deep/tokens")
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.directory().join(file_name(NAME, kind))
    }

    fn save(&self, record: &[u8]) -> Result<(), Problem> {
        self.store.save(NAME, record, Duration::from_secs(1))
    }

    fn names(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.directory()).unwrap();
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Checks that every operation fails and says why.
    fn is_refused(&self, why: &str) {
        let problems = [
            self.store.load(NAME).unwrap_err(),
            self.save(b"x").unwrap_err(),
            self.store.remove(NAME, b"").unwrap_err(),
            self.store.try_lock(NAME).err().unwrap(),
        ];
        for problem in problems {
            assert!(problem.message.contains(why), "{}", problem.message);
        }
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn make_old(path: &Path) {
    let file = std::fs::File::options().read(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - 2 * OLD).unwrap();
}

#[test]
fn what_was_saved_is_loaded_until_it_is_removed() {
    let scene = Scene::new();
    assert_eq!(scene.store.load(NAME).unwrap(), None);
    scene.store.remove(NAME, b"").unwrap();
    assert!(!scene.directory().exists(), "reading must not create it");
    scene.save(b"one").unwrap();
    scene.save(b"two").unwrap();
    assert_eq!(scene.store.load(NAME).unwrap().unwrap().record, b"two");
    assert_eq!(scene.store.load("other").unwrap(), None);
    assert_eq!(scene.names(), [file_name(NAME, RECORD)]);
    scene.store.remove(NAME, b"").unwrap();
    assert_eq!(scene.store.load(NAME).unwrap(), None);
}

#[test]
fn everything_is_private_to_the_user() {
    let scene = Scene::new();
    let _lock = scene.store.try_lock(NAME).unwrap().taken().unwrap();
    scene.save(b"x").unwrap();
    assert_eq!(mode(&scene.directory()), 0o700);
    assert_eq!(mode(&scene.place.path().join("deep")), 0o700);
    assert_eq!((mode(&scene.file(RECORD)), mode(&scene.file(LOCK))), (0o600, 0o600));
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    for others in [0o777, 0o1777, 0o770, 0o702] {
        let scene = Scene::new();
        scene.save(b"x").unwrap();
        chmod(&scene.directory(), others);
        scene.is_refused("can be written to by other users");
        chmod(&scene.directory(), 0o755);
        scene.save(b"x").unwrap();
    }
}

#[test]
fn a_link_instead_of_the_directory_is_refused() {
    let scene = Scene::new();
    let elsewhere = tempfile::tempdir().unwrap();
    chmod(elsewhere.path(), 0o700);
    std::fs::create_dir(scene.place.path().join("deep")).unwrap();
    symlink(elsewhere.path(), scene.directory()).unwrap();
    scene.is_refused("is a symbolic link");
    let with_slash = FileStore::new(Some(&scene.directory().join("")), &Variables::default());
    assert!(with_slash.load(NAME).is_err());
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_link_instead_of_a_record_is_not_followed_but_replaced() {
    let scene = Scene::new();
    scene.save(b"x").unwrap();
    let target = scene.place.path().join("precious");
    std::fs::write(&target, "precious").unwrap();
    std::fs::remove_file(scene.file(RECORD)).unwrap();
    symlink(&target, scene.file(RECORD)).unwrap();
    symlink(&target, scene.file(LOCK)).unwrap();
    assert!(scene.store.load(NAME).is_err());
    assert!(scene.store.try_lock(NAME).is_err());
    scene.save(b"new").unwrap();
    assert_eq!(scene.store.load(NAME).unwrap().unwrap().record, b"new");
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
}

#[test]
fn what_is_no_regular_file_is_an_error_and_does_not_block() {
    let scene = Scene::new();
    scene.save(b"x").unwrap();
    std::fs::remove_file(scene.file(RECORD)).unwrap();
    let pipe = std::ffi::CString::new(scene.file(RECORD).to_str().unwrap()).unwrap();
    // SAFETY: the path ends with a NUL.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    assert!(scene.store.load(NAME).unwrap_err().message.contains("regular file"));
    std::fs::remove_file(scene.file(RECORD)).unwrap();
    std::fs::create_dir(scene.file(RECORD)).unwrap();
    assert!(scene.store.load(NAME).is_err());
    assert!(scene.save(b"x").is_err());
    assert_eq!(scene.names(), [file_name(NAME, RECORD)], "no partial file must stay");
}

#[test]
fn a_record_that_others_can_write_to_is_refused() {
    let scene = Scene::new();
    scene.save(b"x").unwrap();
    chmod(&scene.file(RECORD), 0o606);
    assert!(scene.store.load(NAME).is_err());
}

#[test]
fn a_huge_record_is_read_only_up_to_the_limit() {
    let scene = Scene::new();
    scene.save(&vec![0; 10 * MAX_RECORD_BYTES]).unwrap();
    assert_eq!(scene.store.load(NAME).unwrap().unwrap().record.len(), MAX_RECORD_BYTES + 1);
}

#[test]
fn a_lock_excludes_other_threads_of_the_process_too() {
    let scene = Scene::new();
    let other = FileStore::new(Some(&scene.directory()), &Variables::default());
    let lock = scene.store.try_lock(NAME).unwrap().taken();
    assert!(lock.is_some());
    for _ in 0..3 {
        assert!(other.try_lock(NAME).unwrap().taken().is_none());
    }
    assert!(other.try_lock("other").unwrap().taken().is_some());
    drop(lock);
    assert!(other.try_lock(NAME).unwrap().taken().is_some());
}

#[test]
fn leftovers_are_cleaned_up() {
    let scene = Scene::new();
    let [held, young, old] = ["a", "b", "c"].map(|digit| digit.repeat(NAME_LENGTH));
    let lock = |entry: &str| scene.store.try_lock(entry).unwrap().taken().unwrap();
    let (_held, young_lock, old_lock) = (lock(&held), lock(&young), lock(&old));
    drop((young_lock, old_lock));
    let in_directory = |name: &str| scene.directory().join(name);
    // What a process leaves that is killed while it saves, or while it tries the store out.
    let [old_new, young_new, trial] = [&old, &young, TRIAL].map(|entry| new_name(entry).unwrap());
    let record = |entry: &str| file_name(entry, RECORD);
    let lock_of = |entry: &str| file_name(entry, LOCK);
    for name in [&record(&held), &record(&young), &record(&old), &old_new, &young_new, &trial] {
        std::fs::write(in_directory(name), "x").unwrap();
    }
    for name in [&record(&held), &lock_of(&held), &lock_of(&young), &record(&old), &lock_of(&old)] {
        make_old(&in_directory(name));
    }
    make_old(&in_directory(&old_new));
    make_old(&in_directory(&trial));
    scene.save(b"x").unwrap();
    let mut left =
        [record(NAME), lock_of(&held), record(&held), young_new, lock_of(&young), record(&young)];
    left.sort();
    assert_eq!(scene.names(), left);
}

#[test]
fn other_programs_files_stay_whatever_their_names_and_age() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.directory()).unwrap();
    chmod(&scene.directory(), 0o700);
    let (hash, chance) = ("0123456789abcdef0123456789abcdef01234567", "0123456789abcdef");
    let mut names: Vec<String> = [
        "Cargo.lock",
        "yarn.lock",
        "x.token",
        "x.new",
        "report.new",
        ".new",
        ".lock",
        "token",
        "lock",
        "tu-token-.lock",
        "tu-token-note.token",
        "tu-token-trial.new",
    ]
    .map(str::to_owned)
    .to_vec();
    for kind in ["token", "lock", "new", "0123456789abcdef.new", "TOKEN", "token.bak", "token~"] {
        names.push(format!("{hash}.{kind}"));
        names.push(format!("tu-token-{}.{kind}", &hash[1..]));
        names.push(format!("tu-token-{hash}0.{kind}"));
        names.push(format!("tu-token-{}.{kind}", hash.to_uppercase()));
        names.push(format!("TU-TOKEN-{hash}.{kind}"));
        names.push(format!("my-tu-token-{hash}.{kind}"));
        names.push(format!("tu-token-g{}.{kind}", &hash[1..]));
    }
    names.push(format!("tu-token-{hash}.{chance}0.new"));
    names.push(format!("tu-token-{hash}.{}.new", chance.to_uppercase()));
    names.push(format!("tu-token-trial.{chance}.token"));
    for name in &names {
        let path = scene.directory().join(name);
        std::fs::write(&path, "precious").unwrap();
        make_old(&path);
    }
    // Names of the store's own format, but not regular files.
    let named = |kind: &str| scene.directory().join(format!("tu-token-{hash}.{kind}"));
    std::fs::create_dir(named("token")).unwrap();
    symlink("precious", named("lock")).unwrap();
    symlink("precious", named("0123456789abcdef.new")).unwrap();
    for kind in ["token", "lock", "0123456789abcdef.new"] {
        names.push(format!("tu-token-{hash}.{kind}"));
        // SAFETY: the path is NUL-terminated; the times are plain data.
        let done = unsafe {
            let path = std::ffi::CString::new(named(kind).to_str().unwrap()).unwrap();
            let times = [std::mem::zeroed::<libc::timespec>(); 2];
            libc::utimensat(
                libc::AT_FDCWD,
                path.as_ptr(),
                times.as_ptr(),
                libc::AT_SYMLINK_NOFOLLOW,
            )
        };
        assert_eq!(done, 0);
    }
    scene.save(b"x").unwrap();
    names.push(file_name(NAME, RECORD));
    names.sort();
    assert_eq!(scene.names(), names);
}

#[test]
fn the_names_given_are_recognized() {
    assert_eq!(own_file(&file_name(NAME, RECORD)), Some(OwnFile::Entry(NAME)));
    assert_eq!(own_file(&file_name(NAME, LOCK)), Some(OwnFile::Entry(NAME)));
    for entry in [NAME, TRIAL] {
        assert_eq!(own_file(&new_name(entry).unwrap()), Some(OwnFile::New));
    }
    let seal = crate::store::seal::Seal::new(
        &crate::config::options::Options::default(),
        &crate::credentials::Credentials::new("id", "secret"),
        &crate::scope::ScopeSet::parse("a").unwrap(),
    );
    assert_eq!(own_file(&file_name(seal.name(), RECORD)), Some(OwnFile::Entry(seal.name())));
}

const LENGTH: usize = 20_000;
const SAVER: &str = "TU_TEST_SAVER";

/// Not a test: saves in an endless loop when the test below starts it.
#[test]
fn saver() {
    let Some(directory) = std::env::var_os(SAVER) else { return };
    let store = FileStore::new(Some(Path::new(&directory)), &Variables::default());
    loop {
        for byte in 0..=255 {
            store.save(NAME, &[byte; LENGTH], Duration::from_secs(1)).unwrap();
        }
    }
}

#[test]
fn a_process_killed_while_it_saves_leaves_a_whole_record() {
    let scene = Scene::new();
    let chance = SystemRandom::new();
    for _ in 0..20 {
        let mut saver = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::file::tests::saver"])
            .env(SAVER, scene.directory())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while scene.store.load(NAME).unwrap().is_none() {
            assert_eq!(saver.try_wait().unwrap(), None, "the saver has ended");
            std::thread::yield_now();
        }
        let mut byte = [0];
        chance.fill(&mut byte).unwrap();
        for _ in 0..byte[0] {
            let record = scene.store.load(NAME).unwrap().unwrap().record;
            assert_eq!(record, [record[0]; LENGTH], "while it is being written");
        }
        saver.kill().unwrap();
        saver.wait().unwrap();
        let record = scene.store.load(NAME).unwrap().unwrap().record;
        assert_eq!(record, [record[0]; LENGTH], "after the writer was killed");
        scene.store.remove(NAME, b"").unwrap();
    }
}
