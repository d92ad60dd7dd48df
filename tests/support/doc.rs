// For a hidden line of documentation tests: a running emulator and a client for it. A helper in the library would be
// part of its API; a crate of its own would delay every test build.
{
    let emulator = tu_token_emulator::Emulator::start()?;
    let client = emulator
        .client_options()
        .iter()
        .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value))
        .build()?;
    (emulator, client)
}
