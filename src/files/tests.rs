//! Files that are not regular ones, names of open descriptors, and shared checks.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

fn reads(file: &Arc<Named>) -> Result<String, Unread> {
    let content = file.read_within(PATIENCE)?;
    Ok(String::from_utf8(content.bytes.to_vec()).unwrap())
}

/// A pipe that contains this text and has no writer left.
#[allow(clippy::incompatible_msrv)] // Users do not build tests.
fn pipe_with(text: &str) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    reader.into()
}

fn named(descriptor: &OwnedFd) -> Arc<Named> {
    Named::new(format!("/dev/fd/{}", descriptor.as_raw_fd()).into())
}

/// A named pipe.
fn make_pipe(path: &Path) {
    let status = std::process::Command::new("mkfifo").arg(path).status();
    assert!(status.unwrap().success());
}

/// Writes to a pipe with a name, once somebody reads it. Without `O_NONBLOCK` the test would hang if
/// nobody did.
fn write_to_pipe(path: &Path, text: &str) {
    let end = Instant::now() + PATIENCE;
    let mut pipe = loop {
        match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(pipe) => break pipe,
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENXIO)),
        }
        assert!(Instant::now() < end, "nobody reads the pipe");
        std::thread::sleep(Duration::from_millis(1));
    };
    pipe.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_pipe_gives_its_text_once_and_that_is_kept() {
    let pipe = pipe_with("of the pipe\n");
    let file = named(&pipe);
    assert!(!file.is_final());
    assert_eq!(reads(&file), Ok("of the pipe\n".to_owned()));
    assert!(file.is_final());
    drop(pipe);
    assert_eq!(reads(&file), Ok("of the pipe\n".to_owned()));
}

#[test]
fn a_pipe_that_holds_more_than_a_page_is_read_in_full() {
    for length in [4096, 4097, 8192, 8193, 20_000] {
        let text = "0123456789".repeat(length)[..length].to_owned();
        assert_eq!(reads(&named(&pipe_with(&text))), Ok(text), "{length}");
    }
}

#[test]
fn clients_of_one_pipe_share_its_text_and_other_pipes_do_not() {
    let pipe = pipe_with("shared");
    let first = named(&pipe);
    assert_eq!(reads(&first), Ok("shared".to_owned()));
    let second = named(&pipe);
    assert_eq!(reads(&second), Ok("shared".to_owned()));
    // The same pipe by another name.
    let third = Named::new(format!("/proc/self/fd/{}", pipe.as_raw_fd()).into());
    assert_eq!(reads(&third), Ok("shared".to_owned()));
    assert_eq!(reads(&named(&pipe_with(""))), Ok(String::new()));
    // When nothing uses the text any more, it is forgotten.
    drop((first, second, third));
    assert_eq!(reads(&named(&pipe)), Ok(String::new()));
}

#[test]
fn a_socket_that_is_open_is_read_like_a_pipe() {
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.write_all(b"of the socket").unwrap();
    drop(theirs);
    let socket = OwnedFd::from(ours);
    let [first, second] = [named(&socket), named(&socket)];
    assert_eq!(reads(&first), Ok("of the socket".to_owned()));
    assert_eq!(reads(&second), Ok("of the socket".to_owned()));
    drop(socket);
    assert_eq!(reads(&first), Ok("of the socket".to_owned()));
}

#[test]
fn a_name_of_an_open_file_is_read_once_whatever_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "first").unwrap();
    let opened = OwnedFd::from(std::fs::File::open(&path).unwrap());
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(named(&opened).path(), &link).unwrap();
    let files = [named(&opened), Named::new(link), Named::new(path.clone())];
    for file in &files {
        assert_eq!(reads(file), Ok("first".to_owned()));
    }
    std::fs::write(&path, "second").unwrap();
    let now = files.each_ref().map(|file| reads(file).unwrap());
    assert_eq!(now, ["first", "first", "second"]);
}

#[test]
fn concurrent_requests_share_one_check() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    make_pipe(&path);
    let (send, receive) = mpsc::channel();
    // It hangs until there is a writer, and a second reader would hang forever.
    for _ in 0..5 {
        let send = send.clone();
        Named::new(path.clone()).refresh(
            Why::Use,
            false,
            Box::new(move |read| {
                let text = read.map(|content| content.bytes.to_vec());
                send.send(text).unwrap();
            }),
        );
    }
    write_to_pipe(&path, "for all");
    for _ in 0..5 {
        assert_eq!(receive.recv_timeout(PATIENCE).unwrap(), Ok(b"for all".to_vec()));
    }
}

#[test]
fn an_old_file_is_not_opened_again_unless_its_content_was_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "text").unwrap();
    let file = Named::new(path);
    assert_eq!(reads(&file), Ok("text".to_owned()));
    // As if it had been read long after it was written.
    let first = file.content.lock().0.clone().unwrap();
    let mut content = Content { bytes: first.bytes.clone(), ..*first };
    let known = content.known;
    let wall = known.stamp.changed + 3_000_000_000;
    content.known = Known::of(None, known.stamp, 4, Now { steady: Instant::now(), wall });
    let old = Arc::new(content);
    file.adopt(&old);
    let refresh = |why| {
        let (send, receive) = mpsc::channel();
        file.refresh(why, false, Box::new(move |read| send.send(read).unwrap()));
        receive.recv_timeout(PATIENCE).unwrap().unwrap()
    };
    assert!(Arc::ptr_eq(&refresh(Why::Use), &old));
    assert!(!Arc::ptr_eq(&refresh(Why::Refused), &old));
}

#[test]
fn a_pipe_that_replaces_a_file_during_a_check_does_not_hang_it() {
    let directory = tempfile::tempdir().unwrap();
    let [path, text, pipe, next] =
        ["file", "text", "pipe", "next"].map(|name| directory.path().join(name));
    std::fs::write(&text, "text").unwrap();
    make_pipe(&pipe);
    std::fs::hard_link(&text, &path).unwrap();
    let file = Named::new(path.clone());
    assert_eq!(reads(&file), Ok("text".to_owned()));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for other in [&pipe, &text] {
                    std::fs::hard_link(other, &next).unwrap();
                    std::fs::rename(&next, &path).unwrap();
                }
            }
        });
        let (mut was_text, mut was_pipe, mut hung) = (0, 0, 0);
        let until = Instant::now() + PATIENCE;
        // On a busy machine one of the two may stay in place for long.
        while was_text + was_pipe < 500 || (was_text.min(was_pipe) == 0 && Instant::now() < until) {
            match file.read_within(PATIENCE / 10) {
                Ok(_) => was_text += 1,
                Err(Unread::Slow(_)) => {
                    hung += 1;
                    break;
                }
                Err(_) => was_pipe += 1,
            }
        }
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(hung, 0);
        assert!(was_text > 0 && was_pipe > 0, "{was_text} and {was_pipe}");
    });
}

#[test]
fn a_file_that_cannot_be_read_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let problem = |path: &Path| reads(&Named::new(path.to_owned())).unwrap_err().to_string();
    assert!(problem(&directory.path().join("none")).contains("No such file"));
    assert!(problem(directory.path()).contains("directory"));
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(problem(&socket).contains("cannot be read"));
    assert!(problem(Path::new("/dev/zero")).contains("too long"));
}
