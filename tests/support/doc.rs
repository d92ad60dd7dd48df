// Included by documentation tests (`include!` in a hidden line): a running emulator, and a client of it. Not a helper
// in the library, where it would be part of the API; not a crate, which every build of a test would wait for.
{
    let emulator = tu_token_emulator::Emulator::start()?;
    let client = emulator
        .client_options()
        .iter()
        .fold(tu_token::Client::builder(), |builder, (key, value)| builder.set(key, value))
        .build()?;
    (emulator, client)
}
